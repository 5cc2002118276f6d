// What the server knows and does, without HTTP: every function answers one kind of request in JSON. All
// members may be called from any thread; they throw Refusal where a request cannot be done.
#pragma once
#include <memory>
#include <string_view>

#include "apps/annotate/events.h"
#include "apps/annotate/masks.h"
#include "apps/annotate/store.h"

namespace bp::annotate {

struct ProjectOptions {
  std::filesystem::path folder;
  bool recursive = false;
  std::filesystem::path output;   // empty: annotations.json in the folder
  const sam::Sam* sam = nullptr;  // none: boxes only
  EmbeddingOptions embeddings;
};

struct Reply {
  int status = 200;
  Json body;
};

class Api {
 public:
  // Throws Error where the folder holds no image or the file cannot be used (store.h).
  explicit Api(const ProjectOptions& options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  Json project();
  Json image(std::size_t i);
  Reply save(std::size_t i, std::string_view body);
  Json embedding(std::size_t i);
  Reply masks(std::size_t i, std::string_view body);

  Pictures& pictures() { return pictures_; }
  Events& events() { return events_; }
  Store& store() { return store_; }
  std::size_t check(std::size_t i) const;  // i, or Refusal (404) where there is no such image

 private:
  ImageSize size(std::size_t i);
  ImageSize known_size(std::size_t i);
  Json describe(std::size_t i, const Annotation& annotation);
  void finish();
  void finish_image(std::size_t i);
  void finish_soon(std::size_t i);

  const std::string folder_, teacher_;
  Pictures pictures_;
  Store store_;
  Events events_;
  std::unique_ptr<Masks> masks_;
  std::unique_ptr<Embeddings> embeddings_;

  // Masks at full size come after the answer to a save, on a thread of their own.
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::size_t> unfinished_;
  bool stop_ = false;
  std::thread finisher_;
};

}  // namespace bp::annotate
