// Comma-separated boxes: `image,x0,y0,x1,y1[,label]`, with or without a header, and VIA's csv.
#include <array>

#include "apps/iml/boxes_parse.h"
#include "engine/error.h"

namespace bp::detail {
namespace {

struct Row {
  std::size_t line = 0;
  std::vector<std::string> fields;
};

// RFC 4180: fields may be quoted, a doubled quote stands for one, quoted fields may hold line ends.
std::vector<Row> rows_of(const std::string& source, std::string_view text) {
  std::vector<Row> rows;
  std::size_t line = 1;
  for (std::size_t i = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; i < text.size();) {
    Row row{line, {""}};
    bool quoted = false;
    for (; i < text.size() && (quoted || text[i] != '\n'); ++i) {
      const char c = text[i];
      if (c == '\n') ++line;
      if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
        row.fields.back() += text[++i];
      } else if (c == '"' && (quoted || row.fields.back().empty())) {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        row.fields.emplace_back();
      } else if (c != '\r' || quoted) {
        row.fields.back() += c;
      }
    }
    require(!quoted, source, ": line ", row.line, ": a quote is not closed");
    ++i;
    ++line;
    if (row.fields.size() > 1 || !row.fields[0].empty()) rows.push_back(std::move(row));
  }
  return rows;
}

constexpr std::size_t kNone = ~std::size_t{0};

std::size_t column(const Row& header, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    for (std::size_t i = 0; i < header.fields.size(); ++i)
      if (header.fields[i] == name) return i;
  return kNone;
}

struct Columns {
  std::size_t image = 0, label = 5;
  std::array<std::size_t, 4> corners{1, 2, 3, 4};
};

bool columns_of_header(const Row& header, Columns& columns) {
  columns.image = column(header, {"image", "filename", "file_name", "file", "path", "image_path"});
  columns.label = column(header, {"label", "class", "category", "name"});
  if (columns.image == kNone) return false;
  using Names = std::array<std::string_view, 4>;
  for (const Names& names :
       {Names{"x0", "y0", "x1", "y1"}, Names{"x1", "y1", "x2", "y2"}, Names{"xmin", "ymin", "xmax", "ymax"},
        Names{"left", "top", "right", "bottom"}}) {
    bool all = true;
    for (std::size_t i = 0; i < 4; ++i)
      all = (columns.corners[i] = column(header, {names[i]})) != kNone && all;
    if (all) return true;
  }
  return false;
}

BoxSet plain(const std::string& source, const std::vector<Row>& rows) {
  BoxSet set{source, BoxFormat::csv, {}};
  Entries entries(set);
  Columns columns;
  const Row& first = rows[0];
  double ignored;
  const bool headless =
      first.fields.size() >= 5 && (first.fields[1].empty() || parse_number(first.fields[1], ignored));
  require(headless || columns_of_header(first, columns), source,
          ": line 1 is neither `image,x0,y0,x1,y1` nor a header ", "with these columns");
  for (std::size_t r = headless ? 0 : 1; r < rows.size(); ++r) {
    const auto& fields = rows[r].fields;
    const auto field = [&](std::size_t i) { return i < fields.size() ? fields[i] : std::string(); };
    require(!field(columns.image).empty(), source, ": line ", rows[r].line, " names no image");
    ImageBoxes& entry = entries[clean_name(field(columns.image))];
    std::array<double, 4> corners{};
    std::size_t empty = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::string s = field(columns.corners[i]);
      if (s.empty())
        ++empty;
      else
        require(parse_number(s, corners[i]), source, ": line ", rows[r].line, ": \"", s.substr(0, 40),
                "\" is not a number");
    }
    require(empty == 0 || empty == 4, source, ": line ", rows[r].line, ": ", 4 - empty,
            " of 4 corners are given");
    if (empty == 0)
      entry.boxes.push_back({corners[0], corners[1], corners[2], corners[3], field(columns.label)});
  }
  return set;
}

BoxSet via(const std::string& source, const std::vector<Row>& rows) {
  BoxSet set{source, BoxFormat::via_csv, {}};
  Entries entries(set);
  const std::size_t image = column(rows[0], {"filename", "#filename"});
  const std::size_t shape = column(rows[0], {"region_shape_attributes"});
  const std::size_t attributes = column(rows[0], {"region_attributes"});
  require(image != kNone, source, ": the header has no filename");
  for (std::size_t r = 1; r < rows.size(); ++r) {
    const auto& fields = rows[r].fields;
    const std::string what = text("line ", rows[r].line);
    require(fields.size() == rows[0].fields.size(), source, ": ", what, " has ", fields.size(),
            " fields, the header ", rows[0].fields.size());
    ImageBoxes& entry = entries[clean_name(fields[image])];
    const std::string place = source + ": " + what;
    const Json region = parse_json(place, fields[shape]);
    if (region.empty()) continue;  // VIA's row for an image without regions
    const Json labels = attributes == kNone ? Json() : parse_json(place, fields[attributes]);
    entry.boxes.push_back(via_region(region, labels, source, what));
  }
  return set;
}

}  // namespace

BoxSet parse_csv(const std::string& source, std::string_view text) {
  const std::vector<Row> rows = rows_of(source, text);
  require(!rows.empty(), source, ": no lines in it");
  return column(rows[0], {"region_shape_attributes"}) != kNone ? via(source, rows) : plain(source, rows);
}

}  // namespace bp::detail
