#include "apps/iml/jpeg.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

#include "apps/iml/image_decode.h"
#include "engine/error.h"

namespace bp {
namespace {

// libjpeg reports an error by a function that must not return. It jumps back to where the work began, past
// frames of C only; every function here that can be jumped into therefore holds no object with a destructor.
struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

void leave(j_common_ptr common) {
  auto* manager = reinterpret_cast<ErrorManager*>(common->err);
  common->err->format_message(common, manager->message);
  std::longjmp(manager->escape, 1);
}

// Level -1 is a warning, for instance of data that end too early; the rest is tracing.
void on_message(j_common_ptr common, int level) {
  if (level < 0) leave(common);
}

void prepare(ErrorManager& manager) {
  jpeg_std_error(&manager.base);
  manager.base.error_exit = leave;
  manager.base.emit_message = on_message;
}

class Encoder {
 public:
  Encoder() { prepare(errors_); }
  ~Encoder() {
    jpeg_destroy_compress(&state_);
    std::free(buffer_);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  bool run(const u8* pixels, i64 width, i64 height, int channels, int quality, Subsampling subsampling) {
    if (setjmp(errors_.escape)) return false;
    state_.err = &errors_.base;
    jpeg_create_compress(&state_);
    jpeg_mem_dest(&state_, &buffer_, &size_);
    state_.image_width = static_cast<JDIMENSION>(width);
    state_.image_height = static_cast<JDIMENSION>(height);
    state_.input_components = channels;
    state_.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&state_);
    jpeg_set_quality(&state_, quality, TRUE);
    if (channels == 3) {
      state_.comp_info[0].h_samp_factor = subsampling == Subsampling::s444 ? 1 : 2;
      state_.comp_info[0].v_samp_factor = subsampling == Subsampling::s420 ? 2 : 1;
    }
    jpeg_start_compress(&state_, TRUE);
    while (state_.next_scanline < state_.image_height) {
      // The interface is of 1991 and knows no const; rows are only read.
      JSAMPROW row = const_cast<u8*>(pixels + state_.next_scanline * width * channels);
      jpeg_write_scanlines(&state_, &row, 1);
    }
    jpeg_finish_compress(&state_);
    return true;
  }
  const char* message() const { return errors_.message; }
  std::string bytes() const { return {reinterpret_cast<const char*>(buffer_), size_}; }

 private:
  ErrorManager errors_{};
  jpeg_compress_struct state_{};
  unsigned char* buffer_ = nullptr;
  unsigned long size_ = 0;
};

class Decoder {
 public:
  Decoder() { prepare(errors_); }
  ~Decoder() { jpeg_destroy_decompress(&state_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  bool read_header(std::string_view bytes) {
    if (setjmp(errors_.escape)) return false;
    state_.err = &errors_.base;
    jpeg_create_decompress(&state_);
    jpeg_mem_src(&state_, reinterpret_cast<const unsigned char*>(bytes.data()),
                 static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&state_, TRUE);
    return true;
  }
  bool read_pixels(u8* pixels) {
    if (setjmp(errors_.escape)) return false;
    state_.out_color_space = channels() == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&state_);
    while (state_.output_scanline < state_.output_height) {
      JSAMPROW row = pixels + static_cast<i64>(state_.output_scanline) * width() * channels();
      jpeg_read_scanlines(&state_, &row, 1);
    }
    jpeg_finish_decompress(&state_);
    return true;
  }
  i64 width() const { return state_.image_width; }
  i64 height() const { return state_.image_height; }
  int channels() const { return state_.num_components; }
  const char* message() const { return errors_.message; }

 private:
  ErrorManager errors_{};
  jpeg_decompress_struct state_{};
};

}  // namespace

std::string encode_jpeg(const Tensor& image, int quality, Subsampling subsampling) {
  require(image.defined() && image.dtype() == DType::u8 && image.numel() > 0 &&
              (image.rank() == 2 || (image.rank() == 3 && image.dim(2) == 3)),
          "encode_jpeg: wanted u8 [H,W] or [H,W,3]");
  require(quality >= 1 && quality <= 100, "encode_jpeg: quality ", quality, ", wanted 1 to 100");
  Encoder encoder;
  require(encoder.run(image.data<u8>(), image.dim(1), image.dim(0), image.rank() == 2 ? 1 : 3, quality,
                      subsampling),
          "encode_jpeg: ", encoder.message());
  return encoder.bytes();
}

Tensor decode_jpeg(std::string_view bytes) {
  Decoder decoder;
  require(!bytes.empty(), "decode_jpeg: no bytes");
  require(decoder.read_header(bytes), "decode_jpeg: ", decoder.message());
  const i64 height = decoder.height(), width = decoder.width();
  detail::check_size(width, height);
  const int channels = decoder.channels();
  require(channels == 1 || channels == 3, "decode_jpeg: ", channels, " components, wanted 1 or 3");
  Tensor image = empty(channels == 1 ? Shape{height, width} : Shape{height, width, 3}, DType::u8);
  require(decoder.read_pixels(image.data<u8>()), "decode_jpeg: ", decoder.message());
  return image;
}

Tensor jpeg_round_trip(const Tensor& image, int quality, Subsampling subsampling) {
  return decode_jpeg(encode_jpeg(image, quality, subsampling));
}

}  // namespace bp
