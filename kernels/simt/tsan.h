// What orders lanes, said to ThreadSanitizer by hand: files that use this are compiled without
// instrumentation.
#pragma once

#if defined(BP_SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
#define BP_RELEASE(tag) __tsan_release(tag)
#define BP_ACQUIRE(tag) __tsan_acquire(tag)
#else
#define BP_RELEASE(tag) static_cast<void>(tag)
#define BP_ACQUIRE(tag) static_cast<void>(tag)
#endif
