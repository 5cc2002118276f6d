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
#include <utility>
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

// One job at a time: workers take ranges from a shared counter until it runs out, the caller among them. A
// kernel may take 5 us, so a job begins and ends without a lock or a system call unless somebody sleeps.
class Pool {
 public:
  explicit Pool(int n) {
    for (int i = 1; i < n; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Pool() {
    stop_ = true;
    begin_job();
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
    job_ = {n, grain, fn, body};
    next_.store(0, std::memory_order_relaxed);
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    begin_job();
    take_ranges();
    for (int left; (left = busy_.load(std::memory_order_acquire)) != 0;) wait_while(busy_, left);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
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
  template <class T>
  static void wait_while(const std::atomic<T>& value, T old) {
    for (int spin = 0; spin < kSpins; ++spin, pause())
      if (value.load(std::memory_order_acquire) != old) return;
    value.wait(old, std::memory_order_acquire);
  }

  // What was written before is the workers' from here on, until busy_ is 0 again.
  void begin_job() {
    generation_.fetch_add(1);
    generation_.notify_all();
  }

  void take_ranges() {
    const Job& job = job_;
    inside_parallel = true;
    try {
      for (i64 begin; (begin = next_.fetch_add(job.grain, std::memory_order_relaxed)) < job.n;)
        job.fn(job.body, begin, std::min(begin + job.grain, job.n));
    } catch (...) {
      next_.store(job.n, std::memory_order_relaxed);
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_parallel = false;
  }

  void work() {
    for (unsigned seen = 0;; ++seen) {
      wait_while(generation_, seen);
      if (stop_) return;
      take_ranges();
      if (busy_.fetch_sub(1) == 1) busy_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex job_mutex_, error_mutex_;
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
