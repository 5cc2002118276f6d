#include "apps/annotate/embeddings.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "engine/error.h"
#include "weights/archive.h"
#include "weights/safetensors.h"

namespace bp::annotate {
namespace {

constexpr const char* kTensor = "image_embedding";

// "x.png, 1234 bytes, 0123456789abcdef" to "0123456789abcdef-1234".
std::string content_id(const fs::path& path) {
  const std::string identity = file_identity(path);
  const std::size_t hash = identity.rfind(", "), bytes = identity.rfind(", ", hash - 1);
  const std::string size = identity.substr(bytes + 2, identity.find(' ', bytes + 2) - bytes - 2);
  return identity.substr(hash + 2) + "-" + size;
}

}  // namespace

std::unique_lock<std::mutex> turn_at(Device device) {
  static std::mutex mutex;
  return device == Device{} ? std::unique_lock<std::mutex>() : std::unique_lock(mutex);
}

fs::path default_embedding_cache() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache == '/') return fs::path(cache) / "boxprompt" / "embeddings";
  const char* home = std::getenv("HOME");
  return home && *home == '/' ? fs::path(home) / ".cache" / "boxprompt" / "embeddings" : fs::path();
}

Embeddings::Embeddings(const sam::Sam& sam, Pictures& pictures, EmbeddingOptions options,
                       std::function<void(std::size_t)> ready)
    : sam_(sam),
      pictures_(pictures),
      options_(std::move(options)),
      ready_(std::move(ready)),
      memory_(options_.memory),
      states_(pictures.count(), State::none),
      places_(pictures.count()),
      thread_([this] { work(); }) {}

Embeddings::~Embeddings() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Embeddings::State Embeddings::state(std::size_t image) const {
  const std::lock_guard lock(mutex_);
  return states_.at(image);
}

std::optional<Embedding> Embeddings::get(std::size_t image) {
  if (auto known = memory_.get(image)) return known;
  fs::path place;
  {
    const std::lock_guard lock(mutex_);
    if (states_.at(image) != State::ready) return std::nullopt;
    place = places_[image];
  }
  auto found = place.empty() ? std::nullopt : read(place, pictures_.size(image));
  if (found) {
    memory_.put(image, *found, static_cast<std::size_t>(found->values.numel()) * sizeof(float));
    return found;
  }
  // Dropped from memory and gone from the disk: as if it had never been.
  const std::lock_guard lock(mutex_);
  states_[image] = State::none;
  places_[image].clear();
  return std::nullopt;
}

void Embeddings::front(std::size_t image) {
  const std::lock_guard lock(mutex_);
  for (const std::size_t i : queue_)
    if (states_[i] == State::waiting) states_[i] = State::none;
  queue_.clear();
  for (std::size_t i = image; i < states_.size() && i <= image + options_.ahead; ++i)
    if (states_[i] == State::none && !failed_.count(i)) {
      states_[i] = State::waiting;
      queue_.push_back(i);
    }
  wake_.notify_all();
}

void Embeddings::later(std::size_t image) {
  const std::lock_guard lock(mutex_);
  if (failed_.count(image) || std::find(last_.begin(), last_.end(), image) != last_.end()) return;
  last_.push_back(image);
  wake_.notify_all();
}

// Waits for work; false at the end.
bool Embeddings::next(std::size_t& image) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stop_ || !queue_.empty() || !last_.empty(); });
  if (stop_) return false;
  auto& from = queue_.empty() ? last_ : queue_;
  image = from.front();
  from.pop_front();
  if (states_[image] != State::ready) states_[image] = State::working;
  return true;
}

void Embeddings::work() {
  try {
    if (!options_.cache.empty()) {
      fs::create_directories(options_.cache);
      weights_id_ = content_id(options_.weights);
      if (options_.dtype != DType::f32) weights_id_ += text("-", name_of(options_.dtype));
      prune();
    }
  } catch (const std::exception& e) {
    std::cerr << "note: embeddings are kept in memory only: " << e.what() << '\n';
    options_.cache.clear();
  }
  for (std::size_t image = 0; next(image);) {
    try {
      make(image);
    } catch (const std::exception& e) {
      std::cerr << "note: no masks for " << pictures_.file(image).key << ": " << e.what() << '\n';
      const std::lock_guard lock(mutex_);
      states_[image] = State::none;
      failed_.insert(image);
      continue;
    }
    ready_(image);
  }
}

void Embeddings::make(std::size_t image) {
  if (state(image) == State::ready) return;
  const fs::path place = place_of(image);
  std::optional<Embedding> made;
  if (!place.empty()) made = read(place, pictures_.size(image));
  bool on_disk = made.has_value();
  if (!made) {
    const Tensor pixels = pictures_.image(image);
    const sam::Frame frame = sam::Frame::of(pixels.dim(0), pixels.dim(1));
    const auto turn = turn_at(sam_.device());
    made = Embedding{frame, to(sam_.encode(sam::preprocess(to(pixels, sam_.device()), frame)), Device{})};
    if (!place.empty()) try {
        write_safetensors(place.string(), {{kTensor, FileDType::F32, made->values.shape()}}, {},
                          [&](std::size_t) { return made->values; });
        on_disk = true;
        prune();
      } catch (const Error& e) {
        std::cerr << "note: an embedding is kept in memory only: " << e.what() << '\n';
      }
  }
  memory_.put(image, *made, static_cast<std::size_t>(made->values.numel()) * sizeof(float));
  const std::lock_guard lock(mutex_);
  states_[image] = State::ready;
  if (on_disk) places_[image] = place;
}

fs::path Embeddings::place_of(std::size_t image) const {
  if (options_.cache.empty()) return {};
  return options_.cache / (content_id(pictures_.file(image).path) + "-" + weights_id_ + ".safetensors");
}

// Whatever is wrong with the file, it is then computed anew.
std::optional<Embedding> Embeddings::read(const fs::path& place, const ImageSize& size) const {
  std::error_code error;
  if (!fs::exists(place, error)) return std::nullopt;
  try {
    const Tensor values = open_archive(place.string()).tensor(kTensor);
    if (values.shape() != Shape{1, 64, 64, 256} || values.dtype() != DType::f32) return std::nullopt;
    fs::last_write_time(place, fs::file_time_type::clock::now(), error);  // used now, for prune()
    return Embedding{sam::Frame::of(size.height, size.width), values};
  } catch (const Error&) {
    return std::nullopt;
  }
}

void Embeddings::prune() const {
  struct File {
    fs::file_time_type time;
    std::uintmax_t size;
    fs::path path;
  };
  std::vector<File> files;
  std::uintmax_t total = 0;
  std::error_code error;
  for (fs::directory_iterator it(options_.cache, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".safetensors") continue;
    std::error_code gone;
    files.push_back({it->last_write_time(gone), it->file_size(gone), it->path()});
    if (gone)
      files.pop_back();
    else
      total += files.back().size;
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.time < b.time; });
  for (std::size_t i = 0; i < files.size() && total > options_.disk; ++i) {
    fs::remove(files[i].path, error);
    total -= files[i].size;
  }
}

}  // namespace bp::annotate
