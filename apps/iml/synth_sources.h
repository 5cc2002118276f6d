// Photographs and cut-outs that synthetic manipulations are made of: decoded when first wanted and kept while
// the budget allows.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apps/iml/files.h"
#include "engine/tensor.h"

namespace bp {

// A picture and its halved copies, largest first, so that shrinking it much need not read all of it.
struct Source {
  std::string key;
  std::vector<Tensor> levels;
};

class SourceStore {
 public:
  using Load = std::function<Tensor(const fs::path&)>;
  SourceStore(std::vector<ImageFile> files, std::size_t budget_bytes, Load load);

  std::size_t size() const { return entries_.size(); }
  // The picture at `index`, or where that cannot be read the next one that can; Error where none can. Several
  // threads may ask at once.
  Source take(std::size_t index);
  std::vector<std::string> unreadable() const;  // one line each, sorted

 private:
  struct Entry {
    ImageFile file;
    std::mutex loading;
    std::vector<Tensor> levels;  // of the mutex below, as the rest
    std::string problem;
    std::uint64_t used = 0;
  };
  bool hold(Entry& entry, Source& source);
  void make_room();

  std::vector<std::unique_ptr<Entry>> entries_;
  const std::size_t budget_;
  const Load load_;
  mutable std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::uint64_t clock_ = 0;
};

// A photograph for SourceStore: u8 [H,W,3]; too small ones are Errors.
Tensor load_photograph(const fs::path& path);
// A cut-out for SourceStore: u8 [H,W,4], colours multiplied by alpha.
Tensor load_premultiplied(const fs::path& path);

}  // namespace bp
