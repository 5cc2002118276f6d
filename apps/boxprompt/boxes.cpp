// boxprompt boxes: annotations from one format into another.
#include <iostream>
#include <memory>

#include "apps/boxprompt/cli.h"
#include "apps/iml/boxes_write.h"
#include "apps/iml/image.h"

namespace bp::app {
namespace {

struct Options {
  std::string in, out, to, images;
};

BoxFormat format_of(const Options& o) {
  if (!o.to.empty()) return box_formats().at(o.to);
  const std::string extension = fs::path(o.out).extension().string();
  if (extension == ".xml") return BoxFormat::cvat;
  if (extension == ".csv") return BoxFormat::csv;
  if (extension == ".json") return BoxFormat::coco;
  fail(o.out, ": its name does not say what to write (.json is COCO, .xml CVAT, .csv plain csv); give --to");
}

// Entries renamed to the images of the folder, with their sizes and with boxes in pixels.
BoxSet with_images(const BoxSet& set, const fs::path& folder) {
  const auto images = list_images(folder, true);
  const BoxMatches matches = match_boxes(set, images);
  BoxSet result{set.source, set.format == BoxFormat::yolo ? BoxFormat::csv : set.format, {}};
  std::vector<std::string> notes;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const ImageBoxes* entry = matches.entries[i];
    if (!entry) continue;
    const ImageSize size = image_size(images[i].path);
    result.images.push_back({images[i].key, entry->source, size.width, size.height,
                             boxes_in_image(set, *entry, size.width, size.height, notes)});
  }
  list_lines(notes, "note: ");
  list_lines(matches.ambiguous, "ambiguous, left out: ");
  list_lines(matches.missing, "no such image, left out: ");
  require(!result.images.empty(), set.source, ": none of its images is in ", folder.string());
  return result;
}

void convert(const Options& o) {
  const BoxFormat format = format_of(o);
  BoxSet set = load_boxes(o.in);
  require(set.format != BoxFormat::yolo || !o.images.empty(), o.in,
          ": YOLO holds fractions and no names of images; --images FOLDER says which they are");
  if (!o.images.empty()) set = with_images(set, o.images);
  std::size_t boxes = 0, authentic = 0;
  for (const ImageBoxes& image : set.images) {
    boxes += image.boxes.size();
    authentic += image.boxes.empty();
    require(format != BoxFormat::yolo || image.width > 0, o.in, ": does not say the size of ", image.image,
            ", which YOLO needs; give --images FOLDER");
  }
  save_boxes(set, format, o.out);
  std::cout << o.out << ": " << name_of(format) << ", " << boxes << " boxes of "
            << set.images.size() - authentic << " images, " << authentic << " authentic\n";
}

}  // namespace

void add_boxes(CLI::App& app) {
  CLI::App* boxes = app.add_subcommand("boxes", "Work on annotation files");
  boxes->require_subcommand(1);
  const auto o = std::make_shared<Options>();
  CLI::App* command = boxes->add_subcommand("convert", "Write the boxes of a file in another format");
  command->add_option("IN", o->in, "COCO, LabelMe, YOLO, CVAT, VIA or csv: a file or a folder")->required();
  command->add_option("OUT", o->out, "The file to write; for LabelMe and YOLO a folder")->required();
  std::vector<std::string> names;
  for (const auto& [name, format] : box_formats()) names.push_back(name);
  command
      ->add_option("--to", o->to,
                   "coco, labelme, yolo, cvat, via, via-csv or csv; default: by OUT's extension (.json is "
                   "COCO)")
      ->check(CLI::IsMember(names));
  command->add_option("--images", o->images,
                      "The folder of the images, which gives names and sizes: needed from YOLO, and to YOLO "
                      "where IN has no sizes");
  command->footer(
      "Boxes and labels are converted; polygons become the boxes around them, masks are left out.\n"
      "Examples:\n"
      "  boxprompt boxes convert photos/annotations.json boxes.xml\n"
      "  boxprompt boxes convert labels/ boxes.json --images photos/\n"
      "  boxprompt boxes convert boxes.csv labels/ --to yolo --images photos/");
  command->callback([o] { convert(*o); });
}

}  // namespace bp::app
