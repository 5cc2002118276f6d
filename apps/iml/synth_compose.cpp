#include "apps/iml/synth_compose.h"

#include <algorithm>
#include <cmath>

#include "apps/iml/filters.h"
#include "apps/iml/synth_edits.h"
#include "apps/iml/synth_picture.h"
#include "apps/iml/synth_region.h"
#include "engine/error.h"

namespace bp {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kPurpose = 0x73796E00;  // of the random numbers; the attempt is added
constexpr std::uint32_t kAttempts = 12;

double rounded(double v) {
  return std::round(v * 10) / 10;
}

// Another photograph than the host where there is one.
std::size_t draw_donor(std::size_t host, std::size_t count, Random& random) {
  if (count < 2) return host;
  return (host + 1 + static_cast<std::size_t>(random.integer(0, static_cast<i64>(count) - 2))) % count;
}

// A mean change of less than this many levels inside the mask is none that could be seen or learned.
double least_change(Manipulation kind) {
  switch (kind) {
    case Manipulation::splice:
      return 5;
    case Manipulation::copy_move:
      return 7;
    case Manipulation::removal:
      return 3;
    case Manipulation::retouch:
      return 1;
  }
  return 0;
}

double mean_change(const Tensor& before, const Tensor& after, const Tensor& mask) {
  i64 sum = 0, n = 0;
  for (i64 i = 0; i < mask.numel(); ++i) {
    if (!mask.data<u8>()[i]) continue;
    for (i64 c = 3 * i; c < 3 * i + 3; ++c) sum += std::abs(before.data<u8>()[c] - after.data<u8>()[c]);
    n += 3;
  }
  return n == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(n);
}

double share_of(const Tensor& mask) {
  const i64 outside = std::count(mask.data<u8>(), mask.data<u8>() + mask.numel(), u8{0});
  return 1 - static_cast<double>(outside) / static_cast<double>(mask.numel());
}

class Sample {
 public:
  Sample(const SampleOptions& options, SourceStore& photos, SourceStore* cutouts, Random random)
      : o_(options), photos_(photos), cutouts_(cutouts), random_(random) {}

  SyntheticSample authentic() {
    draw_host();
    return finished();
  }

  // Nothing where the draw came to nothing worth keeping.
  std::optional<SyntheticSample> manipulated() {
    draw_host();
    const auto kind = static_cast<Manipulation>(draw_index(random_, o_.kinds));
    const i64 regions = random_.chance(0.12) ? random_.integer(2, 3) : 1;
    const double share = draw_share(random_) / static_cast<double>(regions);
    for (i64 i = 0; i < regions; ++i) {
      Tensor before = zeros(canvas_.mask.shape(), DType::u8);
      std::swap(before, canvas_.mask);
      edit(kind, share);
      tight_boxes(canvas_.mask);
      for (i64 j = 0; j < before.numel(); ++j) canvas_.mask.data<u8>()[j] |= before.data<u8>()[j];
    }
    const double covered = share_of(canvas_.mask);
    if (covered < 0.003 || covered > 0.5 ||
        mean_change(host_, canvas_.image, canvas_.mask) < least_change(kind))
      return std::nullopt;
    kind_ = kManipulations[static_cast<std::size_t>(kind)];
    return finished();
  }

  // For photographs in which nothing else can be seen, such as a black one.
  SyntheticSample painted() {
    draw_host();
    const Region region = draw_ellipse(working_.height, working_.width, 0.1, random_);
    const Tensor noisy = add_noise(host_, 400, draw_seed(random_));
    for (i64 i = 0; i < region.mask.numel(); ++i)
      if (region.mask.data<u8>()[i])
        std::copy_n(noisy.data<u8>() + 3 * i, 3, canvas_.image.data<u8>() + 3 * i);
    canvas_.mask = region.mask;
    canvas_.notes.push_back({{"region", region.shape}, {"noise", 20}});
    tight_boxes(canvas_.mask);
    kind_ = kManipulations[static_cast<std::size_t>(Manipulation::retouch)];
    return finished();
  }

 private:
  void draw_host() {
    index_ = static_cast<std::size_t>(random_.integer(0, static_cast<i64>(photos_.size()) - 1));
    const Source photo = photos_.take(index_);
    size_ = draw_size(photo, o_.least_side, o_.most_side, random_);
    if (!o_.clean) finish_ = draw_finish(random_);
    working_ = finish_.before(size_);
    const History history = o_.clean ? History{} : draw_history(random_);
    host_ = history.apply(draw_picture(photo, history.before(working_), random_), working_);
    record_ = {{"photo", photo.key}, {"history", to_json(history)}};
    canvas_ = {empty_like(host_), zeros({working_.height, working_.width}, DType::u8), o_.clean,
               Json::array()};
    std::copy_n(host_.data<u8>(), host_.numel(), canvas_.image.data<u8>());
  }

  void edit(Manipulation kind, double share) {
    switch (kind) {
      case Manipulation::splice:
        if (cutouts_ && random_.chance(o_.cutouts)) {
          const auto i = random_.integer(0, static_cast<i64>(cutouts_->size()) - 1);
          return splice_cutout(canvas_, cutouts_->take(static_cast<std::size_t>(i)), share, random_);
        }
        return splice(canvas_, photos_.take(draw_donor(index_, photos_.size(), random_)), share, o_, random_);
      case Manipulation::copy_move:
        return copy_move(canvas_, share, random_);
      case Manipulation::removal:
        return remove(canvas_, share, random_);
      case Manipulation::retouch:
        return retouch(canvas_, share, random_);
    }
  }

  // One box around what an edit marked.
  void tight_boxes(const Tensor& mask) {
    const Bounds b = bounds_of(mask);
    if (b.y1 == 0) return;
    const auto x = [&](i64 v) {
      return static_cast<double>(v) * static_cast<double>(size_.width) / static_cast<double>(working_.width);
    };
    const auto y = [&](i64 v) {
      return static_cast<double>(v) * static_cast<double>(size_.height) /
             static_cast<double>(working_.height);
    };
    boxes_.push_back({x(b.x0), y(b.y0), x(b.x1), y(b.y1), {}});
  }

  SyntheticSample finished() {
    SyntheticSample s;
    s.image = finish_.apply(canvas_.image, size_);
    s.compression = finish_.compression;
    s.host = host_;
    s.record = {{"kind", kind_}, {"width", size_.width}, {"height", size_.height}};
    s.record.update(record_);
    if (kind_ != std::string_view("authentic")) {
      s.mask = resize_smooth(canvas_.mask, size_.height, size_.width);
      u8* m = s.mask.data<u8>();
      std::transform(m, m + s.mask.numel(), m, [](u8 v) { return static_cast<u8>(v > 127 ? 255 : 0); });
      s.record["edits"] = canvas_.notes;
      s.record["share"] = std::round(share_of(s.mask) * 1e4) / 1e4;
      for (const Box& tight : boxes_)
        s.boxes.push_back(loosen(tight, o_.loose, size_.height, size_.width, random_));
    }
    s.record["end"] = to_json(finish_);
    return s;
  }

  const SampleOptions& o_;
  SourceStore& photos_;
  SourceStore* cutouts_;
  Random random_;
  std::size_t index_ = 0;
  const char* kind_ = "authentic";
  Size size_, working_;  // at the end, and while the image is manipulated
  Finish finish_;
  Tensor host_;
  Canvas canvas_;
  std::vector<Box> boxes_;
  Json record_;
};

}  // namespace

Box loosen(const Box& tight, double loose, i64 height, i64 width, Random& random) {
  const double w = tight.x1 - tight.x0, h = tight.y1 - tight.y0;
  const auto outwards = [&](double side) { return side * random.uniform(-loose / 3, loose); };
  Box box = tight;
  box.x0 = rounded(std::max(0.0, tight.x0 - outwards(w)));
  box.y0 = rounded(std::max(0.0, tight.y0 - outwards(h)));
  box.x1 = rounded(std::min(static_cast<double>(width), tight.x1 + outwards(w)));
  box.y1 = rounded(std::min(static_cast<double>(height), tight.y1 + outwards(h)));
  return box;
}

SyntheticSample make_sample(i64 index, bool authentic, const SampleOptions& options, SourceStore& photos,
                            SourceStore* cutouts) {
  const auto sample = [&](std::uint32_t attempt) {
    return Sample(options, photos, cutouts,
                  Random(options.seed, static_cast<std::uint64_t>(index), kPurpose + attempt));
  };
  if (authentic) return sample(0).authentic();
  for (std::uint32_t attempt = 0; attempt < kAttempts; ++attempt)
    if (auto made = sample(attempt).manipulated()) return std::move(*made);
  return sample(kAttempts).painted();
}

}  // namespace bp
