package dev.remask.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// `native/abi/cuda-abi.txt`: sizes, offsets, values and parameter types as a C++ compiler sees
/// them. Comparing with it finds a wrong offset long before a card is there.
public final class AbiTable {
  private record Field(long offset, long size, String type) {}

  private record Struct(long size, long alignment) {}

  private final Map<String, String> functions = new HashMap<>();
  private final Map<String, Struct> structs = new HashMap<>();
  private final Map<String, Field> fields = new HashMap<>();
  private final Map<String, Long> enums = new HashMap<>();

  private AbiTable() {}

  /// Reads the committed table.
  public static AbiTable read() {
    Path file = Path.of(System.getProperty("basedir", "."), "native", "abi", "cuda-abi.txt");
    var table = new AbiTable();
    try {
      for (String line : Files.readAllLines(file)) {
        if (!line.isBlank() && !line.startsWith("#")) {
          table.add(line, line.split(" "));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return table;
  }

  /// Fails unless the table has the function with these parameter and return types.
  public void check(String function, FunctionDescriptor descriptor) {
    String expected = functions.get(function);
    assertNotNull(expected, function + " is bound and not in the ABI table");
    var parameters = new ArrayList<String>();
    descriptor.argumentLayouts().forEach(layout -> parameters.add(type(layout)));
    String result = descriptor.returnLayout().map(AbiTable::type).orElse("void");
    String bound = result + "(" + join(parameters) + ")";
    // Java passes pointers and handles as 64-bit integers.
    assertEquals(expected.replace("pointer", "i64"), bound, function);
  }

  /// Fails unless the table has the struct, named like the layout, with the same size, alignment
  /// and members at the same offsets.
  public void check(StructLayout layout) {
    String name = layout.name().orElseThrow();
    Struct struct = structs.get(name);
    assertNotNull(struct, name + " is laid out and not in the ABI table");
    assertEquals(struct.size, layout.byteSize(), "size of " + name);
    assertEquals(struct.alignment, layout.byteAlignment(), "alignment of " + name);
    var seen = new ArrayList<String>();
    for (MemoryLayout member : layout.memberLayouts()) {
      if (!(member instanceof PaddingLayout)) {
        String path = name + "." + member.name().orElseThrow();
        Field field = fields.get(path);
        assertNotNull(field, path + " is laid out and not in the ABI table");
        long offset = layout.byteOffset(PathElement.groupElement(member.name().orElseThrow()));
        assertEquals(field.offset, offset, "offset of " + path);
        assertEquals(field.size, member.byteSize(), "size of " + path);
        if (member instanceof ValueLayout value) {
          assertEquals(field.type.replace("pointer", "i64"), type(value), "type of " + path);
        }
        seen.add(path);
      }
    }
    for (String path : fields.keySet()) {
      if (path.startsWith(name + ".") && !seen.contains(path)) {
        throw new AssertionError(path + " is in the ABI table and not laid out");
      }
    }
  }

  /// Fails unless the table has the constant with this value.
  public void check(String constant, long value) {
    assertNotNull(enums.get(constant), constant + " is used and not in the ABI table");
    assertEquals(enums.get(constant), value, constant);
  }

  private void add(String line, String[] words) {
    switch (words[0]) {
      case "function" ->
          functions.put(words[1], line.substring("function ".length() + words[1].length() + 1));
      case "struct" ->
          structs.put(words[1], new Struct(Long.parseLong(words[3]), Long.parseLong(words[5])));
      case "field" ->
          fields.put(
              words[1], new Field(Long.parseLong(words[3]), Long.parseLong(words[5]), words[7]));
      case "enum" -> enums.put(words[1], Long.parseLong(words[2]));
      case "type" -> {}
      default -> throw new AssertionError("the ABI table has an unknown line: " + line);
    }
  }

  private static String type(MemoryLayout layout) {
    if (layout.equals(ValueLayout.JAVA_INT)) {
      return "i32";
    } else if (layout.equals(ValueLayout.JAVA_LONG)) {
      return "i64";
    } else if (layout.equals(ValueLayout.JAVA_SHORT)) {
      return "i16";
    } else if (layout.equals(ValueLayout.JAVA_BYTE)) {
      return "i8";
    } else if (layout.equals(ValueLayout.JAVA_FLOAT)) {
      return "f32";
    }
    return layout instanceof ValueLayout named && named.name().isPresent()
        ? type(named.withoutName())
        : layout.toString();
  }

  private static String join(List<String> types) {
    return String.join(", ", types);
  }
}
