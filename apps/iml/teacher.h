// The frozen teacher: an image and coarse boxes become masks.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "apps/iml/boxes.h"
#include "nets/sam/predictor.h"

namespace bp {

// SAM from a checkpoint of any known format and names, ready to use on a device with its image encoder in
// `dtype`. Throws Error naming the file where it is no SAM or not whole.
std::unique_ptr<sam::Sam> load_sam(const std::string& path, Device device = {}, DType dtype = DType::f32);

struct Answer {
  Tensor logits;  // [H,W] f32 at the image's size, on the processor; > 0 is the mask
  double predicted_iou = 0;
  double seconds = 0;  // what the decoder took for this box (a batch's time is shared equally)
};

class Teacher {
 public:
  virtual ~Teacher() = default;
  virtual void look(const Tensor& image) = 0;  // u8 [H,W,3]; what ask() is about
  // Calls each(i, answer) for every box in order. Full-size logits exist one at a time.
  virtual void ask(std::span<const Box> boxes,
                   const std::function<void(std::size_t i, const Answer&)>& each) = 0;
};

struct SamTeacherOptions {
  bool best =
      false;       // of SAM's three masks the one with the highest predicted IoU, instead of the single mask
  int refine = 0;  // times the logits are fed back with the box
};

class SamTeacher final : public Teacher {
 public:
  SamTeacher(const sam::Sam& sam, SamTeacherOptions options) : predictor_(sam), options_(options) {}
  void look(const Tensor& image) override { predictor_.set_image(image); }
  void ask(std::span<const Box> boxes, const std::function<void(std::size_t, const Answer&)>& each) override;

 private:
  sam::Predictor predictor_;
  SamTeacherOptions options_;
};

// No teacher at all: the mask is the box, predicted IoU 0. What a teacher has to be better than.
class BoxTeacher final : public Teacher {
 public:
  void look(const Tensor& image) override { height_ = image.dim(0), width_ = image.dim(1); }
  void ask(std::span<const Box> boxes, const std::function<void(std::size_t, const Answer&)>& each) override;

 private:
  i64 height_ = 0, width_ = 0;
};

}  // namespace bp
