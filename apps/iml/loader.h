// Batches made ahead of the training step by threads of their own.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/tensor.h"

namespace bp {

struct Batch {
  Tensor images;   // [N,S,S,3] f32, normalised
  Tensor targets;  // [N,S,S,1] f32 in [0,1]
};

// Sample n of a run: its image [S,S,3] and target [S,S], written in place. Called from several threads, each
// n once; what it writes must follow from n alone.
using MakeSample = std::function<void(i64 n, float* image, float* target)>;

// Batch b holds the samples b N .. b N + N - 1 whatever the number of workers and their speed.
class Loader {
 public:
  // From batch `first` on. At most `ahead` batches wait.
  Loader(MakeSample make, i64 batch, i64 size, i64 first, int workers, int ahead = 3);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // The next batch; waits for it. Rethrows the first exception of `make`.
  Batch next();
  double waited() const { return waited_; }  // seconds that next() had to wait in all

 private:
  struct Slot {
    i64 number = 0;
    Batch batch;
    i64 claimed = 0, done = 0;
  };
  void work();
  void append();

  const MakeSample make_;
  const i64 batch_, size_;
  i64 next_number_;
  std::mutex mutex_;
  std::condition_variable wake_, ready_;
  std::deque<Slot> slots_;  // the next batches in order; workers hold references to those that are not done
  std::exception_ptr error_;
  bool stop_ = false;
  double waited_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace bp
