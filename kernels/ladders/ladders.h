// Ladders: for each kernel that matters, versions from the plainest to the tuned one, to be read in turn and
// measured side by side (boxprompt-bench). Each rung takes what the kernel of that name in kernels.h takes
// and computes the same; the last step is that kernel itself, which stands in no ladder.
#pragma once
#include "kernels/kernels.h"

namespace bp::k {

template <class Args>
struct Rung {
  const char* name;  // "3_register_tiles": its place in the ladder, and what is new
  const char* idea;  // what it changes and what that should gain, in one sentence
  // Whether it computes this shape, type and options on this machine. Rungs may refuse what would only blur
  // them: odd strides, epilogues, one of the types.
  bool (*takes)(const Args&);
  void (*run)(const Args&);
};

template <class Args>
struct Ladder {
  const Rung<Args>* rungs = nullptr;
  int count = 0;
  const Rung<Args>* begin() const { return rungs; }
  const Rung<Args>* end() const { return rungs + count; }
};

struct Ladders {
  Ladder<Matmul> matmul;
  Ladder<WindowAttention> attention_relpos;  // the whole grid is one window, with SAM's relative positions
  Ladder<WindowAttention> window_attention;  // windows of the grid, with relative positions or a bias table
  Ladder<LayerNorm> layer_norm;
  Ladder<Depthwise> depthwise;
  Ladder<DepthwiseBackward> depthwise_backward;
  Ladder<AdamW> adamw;
};

}  // namespace bp::k

namespace bp::cpu {
const k::Ladders& ladders();
}
namespace bp::cuda {
const k::Ladders& ladders();  // in the emulator and in CUDA's shared object, each for itself
}
