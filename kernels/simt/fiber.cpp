#include "kernels/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define BP_ASAN 1
#endif
#if defined(BP_SIMT_TSAN)  // this file itself is compiled without instrumentation
#include <sanitizer/tsan_interface.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace bp::simt {
namespace {

#if defined(BP_ASAN) || defined(BP_SIMT_TSAN)
constexpr std::size_t kStack = 256 << 10;
#else
constexpr std::size_t kStack = 64 << 10;
#endif

}  // namespace

#if defined(__x86_64__)

// Saves what a call must keep on the running stack and its pointer to *save, and takes up `load` likewise.
extern "C" void bp_simt_switch(void** save, void* load);
asm(R"(
.text
.type bp_simt_switch, @function
.globl bp_simt_switch
.hidden bp_simt_switch
bp_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size bp_simt_switch, .-bp_simt_switch
)");

struct Context {
  void* sp = nullptr;
};

#else

struct Context {
  ucontext_t context{};
};

#endif

struct Fiber::State {
  char* stack = nullptr;  // of kStack bytes, above one page that must not be touched
  Context own, scheduler;
#if defined(BP_ASAN)
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_size = 0;
  void *own_fake = nullptr, *scheduler_fake = nullptr;
#endif
#if defined(BP_SIMT_TSAN)
  void *own_tsan = nullptr, *scheduler_tsan = nullptr;
#endif

  static void run(Fiber* self);
  void prepare(Fiber* self);
  void to_fiber();
  void to_scheduler(bool last);
  void arrived();
};

void Fiber::State::arrived() {
#if defined(BP_ASAN)
  __sanitizer_finish_switch_fiber(own_fake, &scheduler_stack, &scheduler_size);
#endif
}

void Fiber::State::run(Fiber* self) {
  self->state_->arrived();
  self->body_(self->argument_);
  self->done_ = true;
  self->state_->to_scheduler(true);
}

#if defined(__x86_64__)

namespace {
thread_local Fiber* starting = nullptr;
}

void Fiber::enter(Fiber*) {
  State::run(starting);
}

void Fiber::State::prepare(Fiber*) {
  // As if bp_simt_switch had been called from before the first line of enter(): six registers and where to
  // return to, at an address that a call would have left.
  auto top = reinterpret_cast<std::uintptr_t>(stack + kStack) & ~std::uintptr_t{15};
  auto* slots = reinterpret_cast<void**>(top) - 8;
  for (int i = 0; i < 6; ++i) slots[i] = nullptr;
  slots[6] = reinterpret_cast<void*>(&Fiber::enter);
  slots[7] = nullptr;
  own.sp = slots;
}

void Fiber::State::to_fiber() {
  bp_simt_switch(&scheduler.sp, own.sp);
}
#else

void Fiber::enter(Fiber* self) {
  State::run(self);
}

void Fiber::State::prepare(Fiber* self) {
  getcontext(&own.context);
  own.context.uc_stack = {stack, 0, kStack};
  own.context.uc_link = nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(self);
  makecontext(&own.context, reinterpret_cast<void (*)()>(+[](unsigned high, unsigned low) {
    enter(reinterpret_cast<Fiber*>((std::uintptr_t{high} << 32) | low));
  }),
              2, static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
}

void Fiber::State::to_fiber() {
  swapcontext(&scheduler.context, &own.context);
}
#endif

void Fiber::State::to_scheduler([[maybe_unused]] bool last) {
#if defined(BP_ASAN)
  __sanitizer_start_switch_fiber(last ? nullptr : &own_fake, scheduler_stack, scheduler_size);
#endif
#if defined(BP_SIMT_TSAN)
  __tsan_switch_to_fiber(scheduler_tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__x86_64__)
  bp_simt_switch(&own.sp, scheduler.sp);
#else
  swapcontext(&own.context, &scheduler.context);
#endif
  arrived();
}

Fiber::~Fiber() {
  if (!state_) return;
#if defined(BP_SIMT_TSAN)
  if (state_->own_tsan) __tsan_destroy_fiber(state_->own_tsan);
#endif
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  munmap(state_->stack - page, kStack + page);
  delete state_;
}

void Fiber::start(Body body, void* argument) {
  if (!state_) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* block = mmap(nullptr, kStack + page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) throw std::bad_alloc();
    mprotect(block, page, PROT_NONE);
    state_ = new State;
    state_->stack = static_cast<char*>(block) + page;
  }
  body_ = body;
  argument_ = argument;
  done_ = false;
#if defined(BP_SIMT_TSAN)
  if (state_->own_tsan) __tsan_destroy_fiber(state_->own_tsan);
  state_->own_tsan = __tsan_create_fiber(0);
#endif
#if defined(BP_ASAN)
  state_->own_fake = nullptr;
#endif
  state_->prepare(this);
}

void Fiber::resume() {
  State& s = *state_;
#if defined(__x86_64__)
  starting = this;
#endif
#if defined(BP_ASAN)
  __sanitizer_start_switch_fiber(&s.scheduler_fake, s.stack, kStack);
#endif
#if defined(BP_SIMT_TSAN)
  s.scheduler_tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(s.own_tsan, __tsan_switch_to_fiber_no_sync);
#endif
  s.to_fiber();
#if defined(BP_ASAN)
  __sanitizer_finish_switch_fiber(s.scheduler_fake, nullptr, nullptr);
#endif
}

void Fiber::yield() {
  state_->to_scheduler(false);
}

}  // namespace bp::simt
