// SAM's image embeddings, computed ahead on a thread of their own: for the image in front, then for the next
// ones. They stay in memory within a limit and on disk (one safetensors file each, named after the contents
// of image and weights, and by the type), so an image is encoded once, also over several runs.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <set>
#include <thread>

#include "apps/annotate/lru.h"
#include "apps/annotate/pictures.h"
#include "nets/sam/predictor.h"

namespace bp::annotate {

struct Embedding {
  sam::Frame frame;
  Tensor values;  // [1,64,64,256] on the processor
};

// Held while a network runs elsewhere than on the processor: one thread at a time uses that device. To be
// taken before Urgent (kernels/threads.h), which must not wait for it.
std::unique_lock<std::mutex> turn_at(Device device);

struct EmbeddingOptions {
  std::string weights;               // the file that `sam` came from
  std::filesystem::path cache;       // made where it is missing; empty: nothing goes to disk
  std::size_t memory = 512u << 20;   // bytes, 4 MiB an image
  std::uintmax_t disk = 4ull << 30;  // bytes; what was used longest ago goes
  std::size_t ahead = 16;            // images
  DType dtype = DType::f32;          // that the image encoder runs in
};

// The folder for caches of this user: $XDG_CACHE_HOME or ~/.cache, and boxprompt/embeddings in it; empty
// where there is neither.
std::filesystem::path default_embedding_cache();

class Embeddings {
 public:
  enum class State : u8 { none, waiting, working, ready };

  // `ready` is called from the thread of this object when an image's embedding came to be.
  Embeddings(const sam::Sam& sam, Pictures& pictures, EmbeddingOptions options,
             std::function<void(std::size_t)> ready);
  ~Embeddings();
  Embeddings(const Embeddings&) = delete;
  Embeddings& operator=(const Embeddings&) = delete;

  // `none` where nobody asked for it yet, or where the image cannot be encoded.
  State state(std::size_t image) const;
  std::optional<Embedding> get(std::size_t image);  // at once; nothing where it is not ready
  void front(std::size_t image);                    // this one next, and then those behind it
  void later(std::size_t image);                    // when nothing else is to do

 private:
  void work();
  bool next(std::size_t& image);
  void make(std::size_t image);
  std::filesystem::path place_of(std::size_t image) const;
  std::optional<Embedding> read(const std::filesystem::path& place, const ImageSize& size) const;
  void prune() const;

  const sam::Sam& sam_;
  Pictures& pictures_;
  EmbeddingOptions options_;
  const std::function<void(std::size_t)> ready_;
  std::string weights_id_;  // used by the thread alone
  Lru<std::size_t, Embedding> memory_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  bool stop_ = false;
  std::vector<State> states_;
  std::vector<std::filesystem::path> places_;  // of those on disk
  std::set<std::size_t> failed_;
  std::deque<std::size_t> queue_, last_;
  std::thread thread_;
};

}  // namespace bp::annotate
