#include "apps/annotate/api.h"

#include <cmath>
#include <iostream>

#include "engine/error.h"

namespace bp::annotate {
namespace {

constexpr const char* kStates[]{"none", "waiting", "working", "ready"};

std::filesystem::path output_of(const ProjectOptions& o) {
  return fs::weakly_canonical(fs::absolute(o.output.empty() ? o.folder / "annotations.json" : o.output));
}

// As the file names the images: relative to its own folder, so that what reads it finds them from there.
std::vector<std::string> names_of(const Pictures& pictures, const fs::path& folder, const fs::path& output) {
  const fs::path place = fs::weakly_canonical(fs::absolute(folder));
  std::vector<std::string> names;
  for (std::size_t i = 0; i < pictures.count(); ++i)
    names.push_back((place / pictures.file(i).key).lexically_relative(output.parent_path()).generic_string());
  return names;
}

Json parse(std::string_view body) {
  Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) throw Refusal(400, "the body is not JSON");
  return json;
}

Json to_json(const Rle& rle) {
  return {{"size", {rle.height, rle.width}}, {"counts", rle.counts}};
}

double rounded(float iou) {
  return std::round(static_cast<double>(iou) * 1e4) / 1e4;
}

}  // namespace

Api::Api(const ProjectOptions& o)
    : folder_(o.folder.string()),
      teacher_(o.sam ? "sam_" + o.sam->variant() : ""),
      pictures_(list_images(o.folder, o.recursive)),
      store_(output_of(o), names_of(pictures_, o.folder, output_of(o))) {
  if (!o.sam) return;
  masks_ = std::make_unique<Masks>(*o.sam);
  finisher_ = std::thread([this] { finish(); });
  embeddings_ = std::make_unique<Embeddings>(*o.sam, pictures_, o.embeddings, [this](std::size_t i) {
    events_.publish(Json{{"image", i}, {"embedding", "ready"}}.dump());
    finish_soon(i);
  });
  // The page begins at the first open image; while it is being opened there is time for the embedding.
  std::size_t first = 0;
  const std::vector<Annotation> all = store_.all();
  while (first + 1 < all.size() && !all[first].open()) ++first;
  embeddings_->front(first);
  // What an earlier run was killed before it could finish, or drew without a teacher.
  for (std::size_t i = 0; i < pictures_.count(); ++i)
    for (const DrawnBox& box : store_.get(i).boxes)
      if (box.mask.empty()) {
        embeddings_->later(i);
        break;
      }
}

Api::~Api() {
  events_.close();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (finisher_.joinable()) finisher_.join();
  embeddings_.reset();  // its thread calls finish_soon()
}

std::size_t Api::check(std::size_t i) const {
  if (i >= pictures_.count()) throw Refusal(404, "no such image");
  return i;
}

ImageSize Api::size(std::size_t i) {
  try {
    return pictures_.size(i);
  } catch (const Error& e) {
    throw Refusal(422, e.what());
  }
}

// 0 x 0 where the image cannot be read; the request for its picture says why.
ImageSize Api::known_size(std::size_t i) {
  try {
    return pictures_.size(i);
  } catch (const Error&) {
    return {};
  }
}

Json Api::project() {
  Json images = Json::array();
  std::size_t done = 0;
  double seconds = 0;
  const std::vector<Annotation> all = store_.all();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Annotation& a = all[i];
    const ImageSize size = known_size(i);
    images.push_back({{"id", i},
                      {"name", pictures_.file(i).key},
                      {"width", size.width},
                      {"height", size.height},
                      {"state", a.open()      ? "open"
                                : a.authentic ? "authentic"
                                              : "boxed"},
                      {"boxes", a.boxes.size()},
                      {"seconds", a.seconds}});
    done += !a.open();
    seconds += a.seconds;
  }
  return {{"folder", folder_},
          {"teacher", teacher_.empty() ? Json() : Json(teacher_)},
          {"images", std::move(images)},
          {"done", done},
          {"seconds", seconds}};
}

Json Api::describe(std::size_t i, const Annotation& a) {
  const ImageSize full = size(i), shown = display_size(full);
  Json boxes = Json::array();
  for (const DrawnBox& box : a.boxes) {
    Json json = annotate::to_json(box);
    json["mask"] = nullptr;
    if (!box.mask.empty()) try {
        json["mask"] =
            to_json(shrunk(rle_from_text(box.mask, full.height, full.width), shown.height, shown.width));
      } catch (const Error&) {
        // The image was replaced by one of another size: its masks are of the old one.
      }
    boxes.push_back(std::move(json));
  }
  return {{"id", i},
          {"name", pictures_.file(i).key},
          {"width", full.width},
          {"height", full.height},
          {"version", a.version},
          {"authentic", a.authentic},
          {"seconds", a.seconds},
          {"boxes", std::move(boxes)}};
}

Json Api::image(std::size_t i) {
  return describe(check(i), store_.get(i));
}

Reply Api::save(std::size_t i, std::string_view body) {
  check(i);
  const ImageSize full = size(i);
  Annotation next = parse_annotation(parse(body), full);
  const i64 version = next.version + 1;
  const bool boxes = !next.boxes.empty();
  if (!store_.put(i, std::move(next), full)) return {409, describe(i, store_.get(i))};
  events_.publish(Json{{"image", i}, {"version", version}}.dump());
  if (boxes && masks_) finish_soon(i);
  return {200, {{"version", version}}};
}

Json Api::embedding(std::size_t i) {
  check(i);
  if (!embeddings_) return {{"state", "none"}};
  embeddings_->front(i);
  return {{"state", kStates[static_cast<std::size_t>(embeddings_->state(i))]}};
}

Reply Api::masks(std::size_t i, std::string_view body) {
  check(i);
  const Prompt prompt = parse_prompt(parse(body), size(i));
  const auto embedding = embeddings_ ? embeddings_->get(i) : std::nullopt;
  if (!embedding) return {202, this->embedding(i)};
  const auto start = std::chrono::steady_clock::now();
  const auto answer = masks_->ask(i, prompt, *embedding);
  Json choices = Json::array();
  for (i64 k = 0; k < 4; ++k)
    choices.push_back({{"iou", rounded(answer->iou[static_cast<std::size_t>(k)])},
                       {"mask", to_json(Masks::for_page(*answer, k))}});
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  return {200, {{"choices", std::move(choices)}, {"milliseconds", std::round(taken.count() * 10) / 10}}};
}

void Api::finish_soon(std::size_t i) {
  const std::lock_guard lock(mutex_);
  unfinished_.push_back(i);
  wake_.notify_all();
}

void Api::finish() {
  for (;;) {
    std::size_t i = 0;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !unfinished_.empty(); });
      if (stop_) return;
      i = unfinished_.front();
      unfinished_.pop_front();
    }
    try {
      finish_image(i);
    } catch (const std::exception& e) {
      std::cerr << "note: no masks in the file for " << pictures_.file(i).key << ": " << e.what() << '\n';
    }
  }
}

// Gives the stored boxes without a mask theirs, once the embedding is there (then this is called again).
void Api::finish_image(std::size_t i) {
  std::vector<DrawnBox> boxes;
  for (DrawnBox& box : store_.get(i).boxes)
    if (box.mask.empty()) boxes.push_back(std::move(box));
  if (boxes.empty()) return;
  const auto embedding = embeddings_->get(i);
  if (!embedding) return embeddings_->later(i);
  for (DrawnBox& box : boxes) {
    const auto answer = masks_->ask(i, box.prompt, *embedding);
    const int index = box.choice ? *box.choice + 1 : 0;
    const Rle rle = Masks::full_size(*answer, index);
    box.iou = rounded(answer->iou[static_cast<std::size_t>(index)]);
    box.mask = compressed(rle);
    box.area = area_of(rle);
  }
  store_.add_masks(i, boxes);
}

}  // namespace bp::annotate
