// What was used last, within a limit of bytes. All members may be called from any thread.
#pragma once
#include <list>
#include <map>
#include <mutex>
#include <optional>

namespace bp::annotate {

template <class Key, class Value>
class Lru {
 public:
  explicit Lru(std::size_t limit) : limit_(limit) {}

  std::optional<Value> get(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return std::nullopt;
    items_.splice(items_.begin(), items_, found->second);
    return found->second->value;
  }

  // The newest stays even where it alone is above the limit.
  void put(const Key& key, Value value, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) drop(found->second);
    items_.push_front({key, std::move(value), bytes});
    index_[key] = items_.begin();
    bytes_ += bytes;
    while (bytes_ > limit_ && items_.size() > 1) drop(std::prev(items_.end()));
  }

 private:
  struct Item {
    Key key;
    Value value;
    std::size_t bytes;
  };
  using Items = std::list<Item>;

  void drop(typename Items::iterator item) {
    bytes_ -= item->bytes;
    index_.erase(item->key);
    items_.erase(item);
  }

  const std::size_t limit_;
  std::mutex mutex_;
  Items items_;  // the one used last in front
  std::map<Key, typename Items::iterator> index_;
  std::size_t bytes_ = 0;
};

}  // namespace bp::annotate
