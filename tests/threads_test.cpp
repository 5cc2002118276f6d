// Who gets the pool: urgent work runs at once, and the others wait while there is some.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include "kernels/threads.h"

using namespace bp;

namespace {

void a_moment() {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// 8 ranges of one item; a range does not end before `go` is set.
struct Job {
  std::atomic<int> begun{0};
  std::atomic<bool> go{false};
  std::thread thread{[this] {
    parallel_for(8, 1, [this](i64, i64) {
      ++begun;
      while (!go) a_moment();
    });
  }};
  ~Job() { thread.join(); }
};

}  // namespace

TEST_CASE("urgent work runs while another thread's job holds the pool") {
  set_threads(2);
  Job job;
  while (job.begun == 0) a_moment();
  std::atomic<i64> sum{0};
  {
    const Urgent urgent;
    parallel_for(100, 7, [&](i64 begin, i64 end) {
      for (i64 i = begin; i < end; ++i) sum += i;
    });
  }
  CHECK(sum == 4950);
  CHECK(job.begun <= 2);  // it still holds the pool
  job.go = true;
}

TEST_CASE("a job that comes while there is urgent work waits for its end, then runs") {
  set_threads(2);
  auto urgent = std::make_unique<Urgent>();
  Job job;
  job.go = true;
  for (int i = 0; i < 30; ++i) a_moment();
  CHECK(job.begun == 0);
  {
    const Urgent nested;
    std::atomic<int> ranges{0};
    parallel_for(8, 1, [&](i64, i64) { ++ranges; });
    CHECK(ranges == 8);
  }
  CHECK(job.begun == 0);
  urgent.reset();
  while (job.begun < 8) a_moment();
}

TEST_CASE("a body's exception reaches the caller, and the pool goes on") {
  set_threads(2);
  for (int i = 0; i < 50; ++i) {
    CHECK_THROWS_WITH(parallel_for(8, 1, [](i64, i64) { throw std::runtime_error("no"); }), "no");
    std::atomic<i64> sum{0};
    parallel_for(100, 3, [&](i64 begin, i64 end) { sum += end - begin; });
    CHECK(sum == 100);
  }
}

TEST_CASE("workers that went to sleep wake up for the next job") {
  set_threads(3);
  for (int i = 0; i < 20; ++i) {
    std::atomic<int> begun{0};
    parallel_for(3, 1, [&](i64, i64) {  // ends only where all three threads take part
      ++begun;
      while (begun < 3) a_moment();
    });
    CHECK(begun == 3);
    for (int j = 0; j < 5; ++j) a_moment();
  }
}
