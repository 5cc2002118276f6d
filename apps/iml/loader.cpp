#include "apps/iml/loader.h"

#include <algorithm>
#include <chrono>

#include "kernels/threads.h"

namespace bp {

Loader::Loader(MakeSample make, i64 batch, i64 size, i64 first, int workers, int ahead)
    : make_(std::move(make)), batch_(batch), size_(size), next_number_(first) {
  for (int i = 0; i < std::max(1, ahead); ++i) append();
  for (int i = 0; i < std::max(1, workers); ++i) workers_.emplace_back([this] { work(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Loader::append() {
  slots_.push_back(
      {next_number_++, {empty({batch_, size_, size_, 3}), empty({batch_, size_, size_, 1})}, 0, 0});
}

void Loader::work() {
  const Alone alone;
  std::unique_lock lock(mutex_);
  for (;;) {
    Slot* slot = nullptr;
    wake_.wait(lock, [&] {
      const auto open =
          std::find_if(slots_.begin(), slots_.end(), [this](const Slot& s) { return s.claimed < batch_; });
      slot = open == slots_.end() ? nullptr : &*open;
      return stop_ || slot;
    });
    if (stop_) return;
    const i64 i = slot->claimed++, pixels = size_ * size_;
    lock.unlock();
    std::exception_ptr error;
    try {
      make_(slot->number * batch_ + i, slot->batch.images.data<float>() + i * pixels * 3,
            slot->batch.targets.data<float>() + i * pixels);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error && !error_) error_ = error;
    if (++slot->done == batch_ || error) ready_.notify_one();
  }
}

Batch Loader::next() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [this] { return error_ || slots_.front().done == batch_; });
  if (error_) std::rethrow_exception(error_);
  waited_ += std::chrono::duration<double>(Clock::now() - begin).count();
  Batch batch = std::move(slots_.front().batch);
  slots_.pop_front();
  append();
  lock.unlock();
  wake_.notify_all();
  return batch;
}

}  // namespace bp
