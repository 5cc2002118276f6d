// GELU and its slope. Included by simd.h.
//
// Both are even functions beside a ramp: with a = |x| and t = 1 - Phi(a), gelu(x) = max(x, 0) - a t, and the
// slope Phi(x) + x phi(x) is g = t - a phi(a) for x < 0 and 1 - g else.

#if BP_ISA_LEVEL == 512
// a t and g as polynomials around 0, 13/32, 26/32 ... 195/32, a lane of every coefficient for each of the 16
// centres: a lookup is one permutation within a register. Coefficients are those of the least largest error,
// rounded one after another. From the last centre on the functions are 0 (3e-9 and 2e-8 off).
// Absolute errors are below 4e-8 and 8e-8, besides the rounding of the result.
constexpr int kDegree = 5;
constexpr float kStep = 0.40625f;  // exact, so that the last centre is
alignas(64) constexpr float kGeluPieces[kDegree + 1][kLanes] = {
    {0.0f, 0.13905102f, 0.169205084f, 0.135853529f, 0.0846320838f, 0.0428894758f, 0.0180243496f,
     0.00633957144f, 0.00187533081f, 0.000467875565f, 9.86173836e-05f, 1.7579765e-05f, 2.65225344e-06f,
     3.38818182e-07f, 3.66617243e-08f, 0.0f},
    {0.499999911f, 0.193046227f, -0.0247617476f, -0.119888552f, -0.121043429f, -0.081859529f, -0.0424587838f,
     -0.0176659897f, -0.00601737807f, -0.00169629045f, -0.000398321659f, -7.82386269e-05f, -1.28913052e-05f,
     -1.78541939e-06f, -2.08161353e-07f, -3.51341811e-07f},
    {-0.398936242f, -0.337025642f, -0.192128733f, -0.0488552488f, 0.0341224931f, 0.0538890325f, 0.040308129f,
     0.0212936327f, 0.0086871013f, 0.00283590052f, 0.000754242705f, 0.000165152043f, 2.99717667e-05f,
     4.52868517e-06f, 5.71574276e-07f, -9.06190598e-06f},
    {-0.000134632995f, 0.0953778699f, 0.129700735f, 0.0969645157f, 0.0392269902f, -0.00216036011f,
     -0.0161310844f, -0.0135525381f, -0.00721310731f, -0.0028484161f, -0.00088063837f, -0.000218666391f,
     -4.4239714e-05f, -7.35897493e-06f, -1.01263288e-06f, -0.000102770144f},
    {0.0678115264f, 0.043644812f, -0.00198143371f, -0.0327265486f, -0.033134453f, -0.0166428033f,
     -0.00207534363f, 0.00365406531f, 0.0035042027f, 0.00186116016f, 0.000705752755f, 0.000205599164f,
     4.75443012e-05f, 8.88541672e-06f, 1.35705409e-06f, -0.000505226722f},
    {-0.00592399901f, -0.0199133717f, -0.0215053447f, -0.00747620733f, 0.00573886419f, 0.00881423987f,
     0.00501215737f, 0.000954132352f, -0.000715712318f, -0.000751117885f, -0.000385180727f, -0.000136819741f,
     -3.67789689e-05f, -7.77303103e-06f, -1.31842819e-06f, -0.000904990011f},
};
alignas(64) constexpr float kSlopePieces[kDegree + 1][kLanes] = {
    {0.5f, 0.193046227f, -0.0247617364f, -0.119888552f, -0.121043429f, -0.0818595365f, -0.0424587838f,
     -0.0176659897f, -0.0060173776f, -0.00169629033f, -0.000398321718f, -7.82386778e-05f, -1.28913262e-05f,
     -1.78542564e-06f, -2.08162731e-07f, 0.0f},
    {-0.797884524f, -0.674060822f, -0.384249389f, -0.0976969674f, 0.0682510734f, 0.107776545f, 0.0806123093f,
     0.042584952f, 0.0173737165f, 0.00567205111f, 0.00150874956f, 0.000330431183f, 5.99851446e-05f,
     9.06756668e-06f, 1.14510044e-06f, 2.13485987e-06f},
    {-2.88200044e-06f, 0.286132485f, 0.389099032f, 0.290893644f, 0.117681496f, -0.00647922233f,
     -0.0483931266f, -0.0406577438f, -0.0216394756f, -0.0085452795f, -0.00264189835f, -0.000655984855f,
     -0.000132712972f, -2.20750971e-05f, -3.03749744e-06f, 5.51703088e-05f},
    {0.266027212f, 0.175826058f, -0.00884581637f, -0.13259156f, -0.133375689f, -0.0664005578f,
     -0.00780727388f, 0.0149131548f, 0.0140789915f, 0.00741248438f, 0.00278883195f, 0.000805960037f,
     0.000184802018f, 3.42249587e-05f, 5.17630087e-06f, 0.000625385321f},
    {-0.000601290842f, -0.0995229259f, -0.10742484f, -0.0373852886f, 0.0286741629f, 0.044013992f,
     0.025056323f, 0.00477583706f, -0.00357348402f, -0.0037545932f, -0.00192644144f, -0.00068455888f,
     -0.000184094883f, -3.89242959e-05f, -6.60511796e-06f, 0.0030748453f},
    {-0.0577619858f, -0.0303673912f, 0.0210250802f, 0.0401949473f, 0.0208395179f, -0.00387150818f,
     -0.0118049448f, -0.00717309071f, -0.00150023494f, 0.000777946319f, 0.000828812597f, 0.000398438657f,
     0.000130225017f, 3.18928542e-05f, 6.09984954e-06f, 0.0055073807f},
};

BP_INLINE vf piecewise(const float (&coefficients)[kDegree + 1][kLanes], vf x) {
  const vf a = min(splat(15 * kStep), abs(x));  // NaN stays NaN
  const vf shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, in the lowest bits
  const vf shifted = a * (1 / kStep) + shifter, r = a - (shifted - shifter) * kStep;
  const vi piece = reinterpret_cast<vi>(shifted);  // of which the permutation takes the lowest four bits
  vf y = __builtin_shuffle(load(coefficients[kDegree]), piece);
#pragma GCC unroll 8
  for (int i = kDegree - 1; i >= 0; --i) y = y * r + __builtin_shuffle(load(coefficients[i]), piece);
  return y;
}

BP_INLINE vf gelu(vf x) {
  return max(x, vf{}) - piecewise(kGeluPieces, x);
}
BP_INLINE vf gelu_slope(vf x) {
  const vf g = piecewise(kSlopePieces, x);
  return x < vf{} ? g : 1.0f - g;
}
#else
// 1 - Phi(a) = erfc(a / sqrt(2)) / 2 for a >= 0, as p(a)^-8 like Abramowitz and Stegun's 7.1.28, with
// coefficients for the least largest error of max(a, 1) times it: below 4e-7, and below 1.5e-7 of a times it.
// Needs no exponential.
BP_INLINE vf normal_tail(vf a) {
  vf p = splat(2.9524030651373323e-6f);
  p = p * a - 1.5148389138630591e-5f;
  p = p * a + 9.058925206772983e-5f;
  p = p * a + 1.6276691167149693e-4f;
  p = p * a + 1.0102440137416124e-3f;
  p = p * a + 9.41480603069067e-3f;
  p = p * a + 4.882555827498436e-2f;
  p = p * a + 0.10876128822565079f;
  p = p * a + 1.0905077457427979f;
  p *= p;
  p *= p;
  return 1.0f / (p * p);
}

// Absolute error below 5e-7, and below 1.5e-7 times |x| + 1.
BP_INLINE vf gelu(vf x) {
  const vf a = min(splat(16.0f), abs(x));  // NaN stays NaN
  return max(x, vf{}) - a * normal_tail(a);
}
// g / t is smooth and nearly a parabola; absolute error below 6e-7.
BP_INLINE vf gelu_slope(vf x) {
  const vf a = min(splat(16.0f), abs(x));  // NaN stays NaN
  vf r = splat(2.1715499315178022e-5f);
  r = r * a - 5.906556543777697e-5f;
  r = r * a - 1.9890316762030125e-3f;
  r = r * a + 2.128968946635723e-2f;
  r = r * a - 0.11016132682561874f;
  r = r * a - 0.6363239884376526f;
  r = r * a - 0.7979124784469604f;
  r = r * a + 1.0000003576278687f;
  const vf g = r * normal_tail(a);
  return x < vf{} ? g : 1.0f - g;
}
#endif
