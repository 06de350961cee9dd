package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceSpec.Kind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceSpecTest {
  @ParameterizedTest
  @ValueSource(strings = {"auto", "cuda", "cuda:1", "cuda:17", "software", "emulator"})
  void parse_readsWhatToStringWrites(String text) {
    assertEquals(text, DeviceSpec.parse(text).toString());
  }

  @Test
  void parse_ignoresCaseAndSpaceAndReadsOrdinalZero() {
    assertEquals(new DeviceSpec(Kind.CUDA, 0), DeviceSpec.parse(" CUDA:0 "));
    assertEquals(new DeviceSpec(Kind.SOFTWARE, 0), DeviceSpec.parse("Software"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:12345", "software:1", "cuda 0"})
  void parse_refusesOthersAndNamesWhatIsAllowed(String text) {
    var error = assertThrows(IllegalArgumentException.class, () -> DeviceSpec.parse(text));
    assertTrue(error.getMessage().contains("\"" + text + "\""), error.getMessage());
    assertTrue(error.getMessage().contains("auto, cuda, cuda:<n>"), error.getMessage());
  }

  @Test
  void constructor_refusesOrdinalsThatCannotBe() {
    assertThrows(IllegalArgumentException.class, () -> new DeviceSpec(Kind.CUDA, -1));
    assertThrows(IllegalArgumentException.class, () -> new DeviceSpec(Kind.EMULATOR, 1));
  }
}
