// Fibers: stacks of their own between which one thread switches by hand.
#pragma once
#include <cstddef>

namespace bp::simt {

// One fiber with its stack. It runs `body(argument)` again for every start().
class Fiber {
 public:
  using Body = void (*)(void* argument);

  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void start(Body body, void* argument);  // not run yet
  // From the scheduler: runs the fiber until it calls yield() or its body returns.
  void resume();
  // From inside the fiber: back to the scheduler.
  void yield();
  bool done() const { return done_; }

  struct State;  // what the platform needs

 private:
  friend struct State;
  static void enter(Fiber* self);

  State* state_ = nullptr;
  Body body_ = nullptr;
  void* argument_ = nullptr;
  bool done_ = true;
};

}  // namespace bp::simt
