// A device beside the processor, as the engine sees it: its kernels, its memory and its graphs.
#pragma once
#include <cstddef>

#include "kernels/ladders/ladders.h"

namespace bp::k {

// Changes with every change of Backend or of an argument struct, so that a program never calls a shared
// object that was built for another.
constexpr int kBackendVersion = 5;

struct DeviceInfo {
  char name[256];
  int compute_major, compute_minor;
  int multiprocessors;
  std::size_t memory;   // bytes in all
  int driver, runtime;  // versions as CUDA counts them: 13000 is 13.0
};

// Everything is ordered on one stream of the calling thread's selected device: kernels, copies and the reuse
// of memory. Nothing waits for the device but download, synchronize and what says so. Failures throw
// std::runtime_error that names the call.
struct Backend {
  int version;       // kBackendVersion
  const char* name;  // "cuda", "simt"
  Kernels kernels;
  const Ladders* ladders;  // versions of some kernels to learn from, or null
  int devices;             // how many there are, at least 1
  // Whether freed blocks should be kept for reuse. The emulator wants every block new, so that none but its
  // own bytes may be read or written.
  bool cache_blocks;

  void (*select)(int index);  // for the calling thread
  DeviceInfo (*info)(int index);
  std::size_t (*free_memory)();          // of the selected device, in bytes
  void* (*allocate)(std::size_t bytes);  // aligned to 256; null where there is no memory
  void (*release)(void* block);          // any time after the last call that uses it was made
  void (*upload)(void* to, const void* from, std::size_t bytes);    // `from` may change once it returns
  void (*download)(void* to, const void* from, std::size_t bytes);  // waits until the bytes are there
  void (*copy)(void* to, const void* from, std::size_t bytes);      // on the device
  void (*synchronize)();
  void* (*mark)();  // a moment in the stream's order
  // From one mark to a later one; waits for that. Both marks are gone afterwards.
  double (*seconds)(void* from, void* to);

  // Between begin_capture and end_capture kernels and copies on the device are recorded and not run; uploads,
  // downloads, allocate and release are errors. A graph keeps the addresses that it was recorded with.
  void (*begin_capture)();
  void* (*end_capture)();
  void (*launch_graph)(void* graph);
  void (*destroy_graph)(void* graph);
};

}  // namespace bp::k

// What a shared object exports: its backend, or null and the reason why this machine cannot run it, in one
// line (valid until the next call).
extern "C" const bp::k::Backend* bp_backend(const char** why);
