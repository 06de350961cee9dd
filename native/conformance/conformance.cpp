// conformance TABLE PTX HEADER...: the wrappers of PTX instructions against the PTX manual.
//
// The emulator runs a model of each wrapper and never sees its asm string, so a wrong modifier or a
// swapped operand would only show on a card. Here the PTX that nvcc makes of a probe kernel per
// wrapper (probes_*.cu) is compared with a table typed by hand from the manual (table.txt).
//
// Registers are renamed by where their values come from and go to, so that operand order is part of
// the comparison: $2 is the probe's third parameter, $2.4 its bytes from 4 on, and >8 after either
// says that the value is stored 8 bytes into the output; a register of neither kind is "value". In
// the table, $1.0..124>0..124 is short for the list in steps of 4. &$1 is the address of the second
// parameter itself. Names that the asm declares itself become local0, local1, ...
//
// Every function that a HEADER defines must have a row, or a line "- name reason" where it holds no
// instruction. Exit status: 0 all equal, 1 not.
#include <cctype>
#include <cstdio>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Lines = std::vector<std::string>;

Lines read_lines(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    std::fprintf(stderr, "conformance: %s cannot be read\n", path.c_str());
    std::exit(1);
  }
  Lines lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
}

// One spelling for what the manual calls equal: single blanks, none around punctuation, and .shared
// for .shared::cta (PTX ISA 5.1.7: without a qualifier .shared is .shared::cta).
std::string canonical(const std::string& text) {
  std::string spaced = std::regex_replace(text, std::regex("\\s+"), " ");
  spaced = std::regex_replace(spaced, std::regex(" ?([,{}\\[\\];]) ?"), "$1");
  spaced = std::regex_replace(spaced, std::regex("^ | $"), "");
  return replaced(spaced, ".shared::cta", ".shared");
}

// $1.0..124>0..124 and $1.0..124 as the lists they stand for.
std::string expanded(const std::string& text) {
  static const std::regex kRange("\\$(\\d+)\\.(\\d+)\\.\\.(\\d+)(?:>(\\d+)\\.\\.\\d+)?");
  std::string result, rest = text;
  for (std::smatch match; std::regex_search(rest, match, kRange); rest = match.suffix()) {
    result += match.prefix();
    const int begin = std::stoi(match[2]), end = std::stoi(match[3]);
    for (int offset = begin; offset <= end; offset += 4) {
      result += (offset > begin ? ",$" : "$") + match[1].str() + "." + std::to_string(offset);
      if (match[4].matched) {
        result += ">" + std::to_string(std::stoi(match[4]) + offset - begin);
      }
    }
  }
  return result + rest;
}

struct Row {
  std::string section;
  Lines instructions;
};

// A probe's PTX: its asm instructions, operands renamed.
class Probe {
 public:
  // Takes the next line of the kernel's body.
  void read(const std::string& line) {
    if (line.find("// begin inline asm") != std::string::npos) {
      in_asm_ = true;
    } else if (line.find("// end inline asm") != std::string::npos) {
      in_asm_ = false;
    } else if (in_asm_) {
      read_asm(line);
    } else {
      read_code(line);
    }
  }

  Lines instructions() const {
    Lines result;
    for (const std::string& line : asm_lines_) {
      static const std::regex kRegister("%[a-z]+[0-9]+");
      std::string text, rest = line;
      for (std::smatch match; std::regex_search(rest, match, kRegister); rest = match.suffix()) {
        text += match.prefix().str() + operand(match[0]);
      }
      result.push_back(canonical(text + rest));
    }
    return result;
  }

 private:
  std::string operand(const std::string& name) const {
    auto source = sources_.find(name);
    auto target = targets_.find(name);
    std::string text = source != sources_.end() ? source->second : "";
    if (target != targets_.end()) text += ">" + target->second;
    return text.empty() ? "value" : text;
  }

  void read_asm(const std::string& line) {
    std::string text = line.substr(0, line.find("//"));
    // A wrapper may write several instructions, and declarations, in one line.
    std::stringstream parts(text);
    for (std::string part; std::getline(parts, part, ';');) {
      part = std::regex_replace(part, std::regex("^[\\s{}]+|[\\s]+$|^\\s*[\\w$]+:\\s*"), "");
      if (part.empty() || part == "}") continue;
      std::smatch match;
      if (std::regex_match(part, match, std::regex("\\.reg\\s+\\.\\w+\\s+(.*)"))) {
        std::stringstream names(match[1]);
        for (std::string name; std::getline(names, name, ',');) {
          name = std::regex_replace(name, std::regex("\\s"), "");
          locals_.emplace_back(name, "local" + std::to_string(locals_.size()));
        }
        continue;
      }
      for (const auto& [name, local] : locals_) {
        std::string pattern;
        for (char c : name)
          pattern += std::isalnum(c) || c == '_' ? std::string(1, c) : std::string("\\") + c;
        part = std::regex_replace(part, std::regex("(^|[^\\w.%])" + pattern + "(?![\\w.])"),
                                  "$1" + local);
      }
      if (part.find("bra") == 0 || std::regex_search(part, std::regex("^@!?\\w+ bra"))) continue;
      asm_lines_.push_back(part + ";");
    }
  }

  void read_code(const std::string& line) {
    std::smatch match;
    static const std::regex kLoad(
        "\\s*ld\\.param(?:\\.v\\d)?\\.\\w(\\d+)\\s+(.*?), "
        "\\[(\\w+)_param_(\\d+)(?:\\+(\\d+))?\\];");
    static const std::regex kStore(
        "\\s*st\\.global(?:\\.v\\d)?\\.\\w(\\d+)\\s+\\[(%rd\\d+)(?:\\+(\\d+))?\\], (.*);");
    static const std::regex kMove(
        "\\s*(?:mov|cvta\\.to\\.global|cvta\\.param)\\.\\w+\\s+(%\\w+), ([^;]+);");
    if (std::regex_match(line, match, kLoad)) {
      int offset = match[5].matched ? std::stoi(match[5]) : 0;
      const bool whole = scalars_.count(match[4]) != 0;
      for (const std::string& name : names(match[2])) {
        sources_[name] = "$" + match[4].str() + (whole ? "" : "." + std::to_string(offset));
        offset += std::stoi(match[1]) / 8;
      }
    } else if (std::regex_match(line, match, kStore)) {
      int offset = match[3].matched ? std::stoi(match[3]) : 0;
      for (const std::string& name : names(match[4])) {
        targets_[name] = std::to_string(offset);
        offset += std::stoi(match[1]) / 8;
      }
    } else if (std::regex_match(line, match, kMove)) {
      auto source = sources_.find(match[2]);
      std::smatch place;
      const std::string value = match[2];
      if (source != sources_.end()) {
        sources_[match[1]] = source->second;
      } else if (std::regex_match(value, place, std::regex("\\w+_param_(\\d+)"))) {
        sources_[match[1]] = "&$" + place[1].str();
      } else {
        sources_[match[1]] = value;
      }
    } else if (std::regex_match(line, match,
                                std::regex("\\s*\\.param \\.\\w+ \\w+_param_(\\d+),?"))) {
      scalars_.insert(match[1]);
    }
  }

  static Lines names(const std::string& list) {
    Lines result;
    std::stringstream parts(std::regex_replace(list, std::regex("[{}\\s]"), ""));
    for (std::string name; std::getline(parts, name, ',');) result.push_back(name);
    return result;
  }

  bool in_asm_ = false;
  Lines asm_lines_;
  std::map<std::string, std::string> sources_, targets_;
  std::set<std::string> scalars_;  // parameters that are no struct
  std::vector<std::pair<std::string, std::string>> locals_;
};

std::map<std::string, Probe> read_ptx(const std::string& path) {
  std::map<std::string, Probe> probes;
  Probe* probe = nullptr;
  for (const std::string& line : read_lines(path)) {
    std::smatch match;
    if (std::regex_search(line, match, std::regex("\\.entry probe_(\\w+)\\("))) {
      probe = &probes[match[1]];
    } else if (probe != nullptr) {
      probe->read(line);
    }
  }
  return probes;
}

// Rows begin at the margin: the wrapper's name, or name.variant, and the manual's section; their
// instructions are indented. '#' begins a comment.
void read_table(const std::string& path, std::map<std::string, Row>& rows,
                std::set<std::string>& without_instruction) {
  Row* row = nullptr;
  for (const std::string& whole : read_lines(path)) {
    std::string line = whole.substr(0, whole.find('#'));
    if (canonical(line).empty()) continue;
    if (std::isspace(static_cast<unsigned char>(line[0]))) {
      row->instructions.push_back(canonical(expanded(line)));
      continue;
    }
    std::stringstream words(line);
    std::string name, section;
    words >> name >> section;
    if (name == "-") {
      without_instruction.insert(section);
      continue;
    }
    row = &rows[name];
    row->section = section;
  }
}

// Names of the functions that a header defines.
std::set<std::string> functions_of(const std::string& path) {
  std::set<std::string> functions;
  std::stringstream text;
  for (const std::string& line : read_lines(path)) text << line << '\n';
  const std::string all = text.str();
  const std::regex function("\\nREMASK_PTX [\\w:<> ]*?[\\w>] (\\w+)\\(");
  for (std::sregex_iterator at(all.begin(), all.end(), function), end; at != end; ++at) {
    functions.insert((*at)[1]);
  }
  return functions;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) {
    std::fprintf(stderr, "usage: conformance TABLE PTX[,PTX...] HEADER...\n");
    return 1;
  }
  std::map<std::string, Row> rows;
  std::set<std::string> exempt;
  read_table(arguments[1], rows, exempt);
  std::map<std::string, Probe> probes;
  std::stringstream files(arguments[2]);
  for (std::string file; std::getline(files, file, ',');) probes.merge(read_ptx(file));

  int faults = 0;
  auto fault = [&faults](const std::string& text) {
    std::printf("%s\n", text.c_str());
    faults++;
  };
  std::set<std::string> covered = exempt;
  for (const auto& [name, row] : rows) {
    const std::string function = name.substr(0, name.find('.'));
    covered.insert(function);
    auto probe = probes.find(replaced(name, ".", "__"));
    if (probe == probes.end()) {
      fault(name + ": no kernel probe_" + replaced(name, ".", "__"));
      continue;
    }
    const Lines found = probe->second.instructions();
    if (found == row.instructions) continue;
    std::string text = name + " (PTX ISA " + row.section + ")\n  manual:";
    for (const std::string& line : row.instructions) text += "\n    " + line;
    text += "\n  nvcc:";
    for (const std::string& line : found) text += "\n    " + line;
    fault(text);
  }
  for (const auto& [name, probe] : probes) {
    (void)probe;
    if (rows.count(replaced(name, "__", ".")) == 0) fault(name + ": a probe without a row");
  }
  for (int i = 3; i < count; i++) {
    for (const std::string& function : functions_of(arguments[i])) {
      if (covered.count(function) == 0) {
        fault(function + " of " + arguments[i] + ": neither a row nor a reason for none");
      }
    }
  }
  std::printf("%zu wrappers' instructions compared, %d faults\n", rows.size(), faults);
  return faults == 0 && !rows.empty() ? 0 : 1;
}
