// The thread pool that every CPU kernel and loader shares.
#pragma once
#include <type_traits>

#include "kernels/dtype.h"

namespace bp {

// Sets the number of threads that parallel_for uses, the caller included. 0 means all cores this process may
// use (its affinity mask). Not to be called while work is running.
void set_threads(int n);
int threads();

namespace detail {
using RangeFn = void (*)(const void* body, i64 begin, i64 end);
void parallel_ranges(i64 n, i64 grain, RangeFn fn, const void* body);
}  // namespace detail

// Calls body(begin, end) on disjoint ranges that cover [0, n), each of `grain` items (the last may be
// shorter), in no fixed order on all threads; returns when all are done. Ranges do not depend on the number
// of threads, so a body that writes only what belongs to its range gives the same result on any machine.
// Inside a body a nested call runs on the calling thread. The first exception that a body throws is rethrown
// here.
template <class Body>
void parallel_for(i64 n, i64 grain, const Body& body) {
  detail::parallel_ranges(
      n, grain, [](const void* b, i64 begin, i64 end) { (*static_cast<const Body*>(b))(begin, end); }, &body);
}

// For its lifetime parallel_for runs on the calling thread alone: for threads with work of their own
// (loaders) beside the pool's.
class Alone {
 public:
  Alone();
  ~Alone();
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  bool before_;
};

// For its lifetime the thread goes first: what other threads give the pool waits (work that has begun is
// finished), and its own parallel_for runs at once, alone where the pool is taken. For short work that a
// person waits for, beside long work in the background. It must not wait for a thread that calls
// parallel_for.
class Urgent {
 public:
  Urgent();
  ~Urgent();
  Urgent(const Urgent&) = delete;
  Urgent& operator=(const Urgent&) = delete;

 private:
  bool before_;
};

// A 64-byte aligned buffer of at least `bytes`, owned by the calling thread and reused by its next call with
// the same slot (0 to 7). Kernels take their packing buffers here, so a steady state allocates nothing. By
// convention slots 0 to 3 are taken before a parallel_for and shared with its body, 4 to 7 inside a body;
// matmul, which other kernels call, keeps 3, 6 and 7 for itself.
void* scratch_bytes(int slot, std::size_t bytes);
template <class T>
T* scratch(int slot, i64 n) {
  static_assert(std::is_trivially_copyable_v<T>);
  return static_cast<T*>(scratch_bytes(slot, static_cast<std::size_t>(n) * sizeof(T)));
}

}  // namespace bp
