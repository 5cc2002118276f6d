// The student as a file, and what an image becomes before the network sees it: one rule for training and for
// inference.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "nets/student/student.h"

namespace bp {

// What a student's file says besides its weights: the parts by the tensors it holds, the rest in its
// metadata.
struct StudentConfig {
  fusion::Parts parts{};
  i64 size = 224;          // side of the square that images are squeezed to; metadata "input_size"
  double threshold = 0.5;  // above it a pixel counts as manipulated; metadata "threshold"
};

constexpr i64 kLeastInput = 32, kLargestInput = 2048;
// Throws Error unless a side is a multiple of 32 in that range.
void check_input_size(const std::string& what, i64 size);

// The whole image squeezed to size x size by PIL's bilinear, normalised by ImageNet's mean and deviation.
// u8 [H,W,3] -> [1,size,size,3] f32.
Tensor student_input(const Tensor& image, i64 size);

// Probabilities on the processor for images there, from a net on `device`. A device runs one network at a
// time, so threads take turns. Where it has no memory left, the Error says which smaller batch would fit.
Tensor run_student(const student::Student& net, const Tensor& images, Device device);

// "architecture", "format", "input_size" and "threshold" for save(). Other keys may be added.
std::map<std::string, std::string> student_metadata(const StudentConfig& config);

// A student in f32, as loaded: neither folded nor in training. `own`: its memory is its own, for training.
struct LoadedStudent {
  student::Student net;
  StudentConfig config;
};
// Throws Error naming the file where it is no student, not whole, or says impossible things of itself.
LoadedStudent load_student(const std::filesystem::path& path, bool own = false);

// The trunk's weights from Microsoft's or timm's TinyViT-5M, MobileSAM's encoder (alone or in the whole
// model) or another student, into memory of its own. Throws Error naming the file.
void load_trunk(student::Student& net, const std::filesystem::path& path);

// Where the student that comes with the program is: the environment's BOXPROMPT_WEIGHTS, else
// ../share/boxprompt/ beside the folder of the executable, else weights/ of the source tree it was built
// from. Throws Error saying where it was looked for.
std::filesystem::path shipped_student();

}  // namespace bp
