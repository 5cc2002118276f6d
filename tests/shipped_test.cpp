// The student that comes with the repository, on manipulations of photographs that it never saw (apps/samples
// are none of its training data): it must know more than where manipulations usually lie.
#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/iml/student_file.h"
#include "tests/temp_folder.h"
#include "weights/file.h"

using namespace bp;

namespace {

std::string output_of(const std::string& arguments) {
  const TempFolder temp;
  const auto out = temp / "out";
  const std::string command =
      std::string(BOXPROMPT_BINARY) + " " + arguments + " > " + out.string() + " 2> /dev/null";
  const int status = std::system(command.c_str());
  CAPTURE(command);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  std::ifstream file(out);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("the shipped student is whole, small, and says what it is") {
  const auto path = shipped_student();
  CHECK(std::filesystem::file_size(path) < 12'000'000);
  const LoadedStudent loaded = load_student(path);
  CHECK(loaded.config.parts.gate);
  CHECK(loaded.config.parts.memory);
  CHECK(loaded.config.size == 224);
}

TEST_CASE("the shipped student localizes manipulations of photographs that it never saw") {
  const TempFolder temp;
  const std::string set = (temp / "set").string();
  output_of("synth " + std::string(BOXPROMPT_SOURCE_DIR) + "/apps/samples -o " + set +
            " --count 40 --seed 2 --kinds splice:1 --authentic 0 --clean --size 224 448");
  const auto report = nlohmann::json::parse(output_of("eval --protocol paper --json --against " + set));
  const auto& scores = report.at("sets").at(0);
  const double auc = scores.at("auc"), f1 = scores.at("f1");
  CAPTURE(scores.dump());
  // The mean of the true masks, though it has seen them, knows no image.
  CHECK(auc > scores.at("baselines").at("mean_mask").at("auc").get<double>() + 0.05);
  CHECK(f1 > 1.5 * scores.at("baselines").at("all_ones").at("f1").get<double>());
}
