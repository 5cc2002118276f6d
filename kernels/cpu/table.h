// The CPU's kernels of one level, one file each, and the table over them. Included inside the level's
// namespace.
void fill(const k::Fill&);
void cast(const k::Cast&);
void strided_copy(const k::StridedCopy&);
void unary(const k::Unary&);
void unary_backward(const k::UnaryBackward&);
void binary(const k::Binary&);
void sum_to(const k::SumTo&);
void matmul(const k::Matmul&);
void softmax(const k::Softmax&);
void softmax_backward(const k::SoftmaxBackward&);
void layer_norm(const k::LayerNorm&);
void layer_norm_backward(const k::LayerNormBackward&);
void conv2d(const k::Conv2d&);
void conv2d_backward(const k::Conv2dBackward&);
void depthwise(const k::Depthwise&);
void depthwise_backward(const k::DepthwiseBackward&);
void attention(const k::Attention&);
void attention_backward(const k::AttentionBackward&);
void window_attention(const k::WindowAttention&);
void window_attention_backward(const k::WindowAttentionBackward&);
void resize_bilinear(const k::ResizeBilinear&);
void resize_bilinear_backward(const k::ResizeBilinearBackward&);
void resize_pil(const k::ResizePil&);
void normalize_pad(const k::NormalizePad&);
const k::Kernels& table();
