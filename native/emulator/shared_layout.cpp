#include "shared_layout.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace remask::emulator {
namespace {

// Size of this library's TLS segment; 0 if it has none.
std::size_t tls_segment_bytes() {
  struct Search {
    std::uintptr_t here;
    std::size_t bytes;
  } search{reinterpret_cast<std::uintptr_t>(&tls_segment_bytes), 0};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto* search = static_cast<Search*>(data);
        std::size_t tls = 0;
        bool ours = false;
        for (int i = 0; i < info->dlpi_phnum; i++) {
          const ElfW(Phdr)& header = info->dlpi_phdr[i];
          if (header.p_type == PT_TLS) tls = header.p_memsz;
          if (header.p_type == PT_LOAD &&
              search->here - (info->dlpi_addr + header.p_vaddr) < header.p_memsz) {
            ours = true;
          }
        }
        if (ours) search->bytes = tls;
        return ours ? 1 : 0;
      },
      &search);
  return search.bytes;
}

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

template <class T>
bool read_at(std::FILE* file, std::size_t offset, T* to, std::size_t count) {
  return std::fseek(file, long(offset), SEEK_SET) == 0 &&
         std::fread(to, sizeof(T), count, file) == count;
}

std::string readable(const char* symbol) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(symbol, nullptr, nullptr, &status), &std::free);
  return status == 0 && name ? name.get() : symbol;
}

// The thread-local variables in the symbol table of this library's file. Empty if it is stripped.
std::vector<SharedArray> variables() {
  std::vector<SharedArray> found;
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&variables), &info) == 0) return found;
  std::unique_ptr<std::FILE, FileCloser> file(std::fopen(info.dli_fname, "rbe"));
  ElfW(Ehdr) header;
  if (!file || !read_at(file.get(), 0, &header, 1)) return found;
  std::vector<ElfW(Shdr)> sections(header.e_shnum);
  if (!read_at(file.get(), header.e_shoff, sections.data(), sections.size())) return found;
  for (const ElfW(Shdr) & section : sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    std::vector<ElfW(Sym)> symbols(section.sh_size / sizeof(ElfW(Sym)));
    std::vector<char> names(sections[section.sh_link].sh_size + 1);
    if (!read_at(file.get(), section.sh_offset, symbols.data(), symbols.size()) ||
        !read_at(file.get(), sections[section.sh_link].sh_offset, names.data(), names.size() - 1)) {
      return {};
    }
    for (const ElfW(Sym) & symbol : symbols) {
      if ((symbol.st_info & 0xf) != STT_TLS || symbol.st_size == 0) continue;
      found.push_back(
          SharedArray{symbol.st_value, 0, symbol.st_size, readable(names.data() + symbol.st_name)});
    }
  }
  return found;
}

}  // namespace

const SharedArray* SharedLayout::find(std::size_t offset) const {
  auto after = std::upper_bound(
      arrays.begin(), arrays.end(), offset,
      [](std::size_t offset, const SharedArray& array) { return offset < array.begin; });
  if (after == arrays.begin()) return nullptr;
  --after;
  return offset < after->end ? &*after : nullptr;
}

const SharedLayout* shared_layout() {
  static const std::unique_ptr<SharedLayout> layout = []() -> std::unique_ptr<SharedLayout> {
    auto layout = std::make_unique<SharedLayout>();
    layout->segment_bytes = tls_segment_bytes();
    if (layout->segment_bytes == 0 || (layout->segment_bytes - 1) % kDynamicAlignment != 0) {
      return nullptr;
    }
    layout->arrays = variables();
    auto& arrays = layout->arrays;
    std::sort(arrays.begin(), arrays.end(),
              [](const SharedArray& a, const SharedArray& b) { return a.linked < b.linked; });
    // Names of one variable (an alias, a weak and a strong one) are one array.
    arrays.erase(std::unique(arrays.begin(), arrays.end(),
                             [](const SharedArray& a, const SharedArray& b) {
                               return a.linked == b.linked;
                             }),
                 arrays.end());
    if (arrays.empty() || arrays.size() > kMostSharedArrays) {
      arrays = {SharedArray{0, 0, layout->segment_bytes - 1, "a static variable"}};
    }
    layout->indices.resize(layout->segment_bytes);
    std::size_t cursor = 0;
    for (std::size_t i = 0; i < arrays.size(); i++) {
      SharedArray& array = arrays[i];
      const std::size_t bytes = array.end;
      // Aligned as the linker had to align it, or better.
      const std::size_t alignment =
          array.linked == 0 ? kDynamicAlignment
                            : std::min(kDynamicAlignment, array.linked & (~array.linked + 1));
      array.begin = (cursor + alignment - 1) / alignment * alignment;
      array.end = array.begin + bytes;
      cursor = array.end + kGapBytes;
      std::fill(
          layout->indices.begin() + long(array.linked),
          layout->indices.begin() + long(std::min(array.linked + bytes, layout->segment_bytes)),
          std::uint16_t(i));
    }
    layout->dynamic_begin =
        (cursor + kDynamicAlignment - 1) / kDynamicAlignment * kDynamicAlignment;
    return layout;
  }();
  return layout.get();
}

}  // namespace remask::emulator
