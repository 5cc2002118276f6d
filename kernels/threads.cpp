#include "kernels/threads.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <sched.h>
#include <thread>
#include <vector>

#include "kernels/memory.h"

namespace bp {
namespace {

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

thread_local bool inside_parallel = false;
thread_local bool goes_first = false;

// Threads with Urgent alive, and where the others wait until there are none.
std::mutex urgent_mutex;
std::condition_variable no_urgent;
std::atomic<int> urgent_count{0};

void let_urgent_pass() {
  if (goes_first || urgent_count.load() == 0) return;
  std::unique_lock lock(urgent_mutex);
  no_urgent.wait(lock, [] { return urgent_count.load() == 0; });
}

void run_here(i64 n, i64 grain, detail::RangeFn fn, const void* body) {
  for (i64 begin = 0; begin < n; begin += grain) fn(body, begin, std::min(begin + grain, n));
}

// One job at a time: workers take ranges from a shared counter until it runs out, the caller among them.
class Pool {
 public:
  explicit Pool(int n) {
    for (int i = 1; i < n; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      ++generation_;
    }
    wake_.notify_all();
    for (auto& t : workers_) t.join();
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void run(i64 n, i64 grain, detail::RangeFn fn, const void* body) {
    let_urgent_pass();
    std::unique_lock one_job(job_mutex_, std::defer_lock);
    if (!goes_first)
      one_job.lock();
    else if (!one_job.try_lock())
      return run_here(n, grain, fn, body);
    const Job job{n, grain, fn, body};
    next_.store(0, std::memory_order_relaxed);
    error_ = nullptr;
    {
      std::lock_guard lock(mutex_);
      job_ = job;
      busy_ = static_cast<int>(workers_.size());
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    take_ranges(job);
    for (int spin = 0; spin < kSpins && busy_.load(std::memory_order_acquire) != 0; ++spin) pause();
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_.load() == 0; });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct Job {
    i64 n = 0, grain = 1;
    detail::RangeFn fn = nullptr;
    const void* body = nullptr;
  };
  // About 100 us: kernels of one network follow one another within less, and waking a worker takes 25 us,
  // which is all the work that some kernels have.
  static constexpr int kSpins = 4000;
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
  }

  void take_ranges(const Job& job) {
    inside_parallel = true;
    try {
      for (i64 begin; (begin = next_.fetch_add(job.grain, std::memory_order_relaxed)) < job.n;)
        job.fn(job.body, begin, std::min(begin + job.grain, job.n));
    } catch (...) {
      next_.store(job.n, std::memory_order_relaxed);
      std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_parallel = false;
  }

  void work() {
    unsigned seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin)
        pause();
      Job job;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load() != seen; });
        if (stop_) return;
        seen = generation_.load();
        job = job_;
      }
      take_ranges(job);
      {
        std::lock_guard lock(mutex_);
        busy_.fetch_sub(1, std::memory_order_release);
      }
      done_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex job_mutex_, mutex_;
  std::condition_variable wake_, done_;
  Job job_;
  std::exception_ptr error_;
  bool stop_ = false;
  alignas(64) std::atomic<unsigned> generation_{0};
  alignas(64) std::atomic<i64> next_{0};
  alignas(64) std::atomic<int> busy_{0};
};

std::unique_ptr<Pool>& pool() {
  static auto instance = std::make_unique<Pool>(usable_cores());
  return instance;
}

struct Scratch {
  struct Buffer {
    void* data = nullptr;
    std::size_t size = 0;
  } slots[8];
  ~Scratch() {
    for (auto& b : slots) std::free(b.data);
  }
};
thread_local Scratch scratch_buffers;

}  // namespace

Alone::Alone() : before_(inside_parallel) {
  inside_parallel = true;
}
Alone::~Alone() {
  inside_parallel = before_;
}

Urgent::Urgent() : before_(goes_first) {
  goes_first = true;
  urgent_count.fetch_add(1);
}
Urgent::~Urgent() {
  goes_first = before_;
  {
    const std::lock_guard lock(urgent_mutex);
    urgent_count.fetch_sub(1);
  }
  no_urgent.notify_all();
}

void set_threads(int n) {
  if (n <= 0) n = usable_cores();
  if (pool()->size() != n) pool() = std::make_unique<Pool>(n);
}

int threads() {
  return pool()->size();
}

void detail::parallel_ranges(i64 n, i64 grain, RangeFn fn, const void* body) {
  if (n <= 0) return;
  grain = std::max<i64>(1, grain);
  if (inside_parallel || n <= grain || pool()->size() == 1) {
    return run_here(n, grain, fn, body);
  }
  pool()->run(n, grain, fn, body);
}

void* scratch_bytes(int slot, std::size_t bytes) {
  auto& b = scratch_buffers.slots[slot];
  if (b.size < bytes) {
    std::free(b.data);
    b.size = (bytes + 4095) / 4096 * 4096;
    b.data = allocate_host(b.size);
    if (!b.data) {
      b.size = 0;
      throw std::bad_alloc();
    }
  }
  return b.data;
}

}  // namespace bp
