// Files: reading, writing whole or not at all, lists of images, and masks that belong to images.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bp {

namespace fs = std::filesystem;

// The bytes of a regular file. Errors name the file: missing, not a file, unreadable, above `limit` bytes.
std::string read_file(const fs::path& path, std::uintmax_t limit = std::uintmax_t{1} << 31);

// Writes under a temporary name in the same folder (".<name>.part") and renames: other programs see the old
// file, the whole new one or none. On an error (a full disk) nothing of the new file is left.
void write_file(const fs::path& path, std::string_view bytes);

// "x.safetensors, 1234 bytes, 0123456789abcdef": the name, the size and FNV-1a 64 of the bytes, so that a
// later run can tell whether it is given the same file.
std::string file_identity(const fs::path& path);

// With control characters as '?': what a file holds may be quoted in a message, which is one line on a
// terminal.
std::string one_line(std::string s);

// True for .jpg .jpeg .jpe .jfif .png .bmp .tif .tiff in any case.
bool has_image_extension(const fs::path& path);

// `key` names the image in reports, annotation files and output folders: its path relative to the folder or
// list it came from, with '/' between parts and without leading "../" or "/"; for a single image its file
// name.
struct ImageFile {
  fs::path path;
  std::string key;
};

// A path as a key: normalised, '/' between parts, without leading "../" or "/".
std::string relative_key(const fs::path& path);

// The images of `source`: one image file; a folder (files with an image extension, sorted by key; `recursive`
// descends into subfolders); or a text list of one path per line, relative to the list's folder, in its
// order. Throws where nothing is found, where a list is not text, and where two lines have the same key.
// Whether listed files exist and can be read shows when they are loaded.
std::vector<ImageFile> list_images(const fs::path& source, bool recursive = false);

// Masks found for images. A mask belongs to an image of the same stem, or with one of the suffixes _gt,
// _mask, _forged, _edgemask ("x_gt.png" to "x.jpg"), and "7forged" to "7t" as the COVERAGE set names them.
// Where several folders hold such a mask, the one under the image's own relative folder is meant. An image is
// never its own mask.
struct MaskPairs {
  std::vector<fs::path> masks;         // one per image; empty where there is none or the choice is ambiguous
  std::vector<std::string> ambiguous;  // "a.jpg: a_gt.png, a_mask.png"
  std::vector<std::string> lone_images;  // keys of images without a mask: authentic ones, or a mistake
  std::vector<std::string> lone_masks;   // masks that belong to no image, relative to the folder
};
MaskPairs pair_masks(std::span<const ImageFile> images, const fs::path& mask_folder);

}  // namespace bp
