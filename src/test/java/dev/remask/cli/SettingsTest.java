package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Where values come from, seen in the defaults that --help shows and in results.
class SettingsTest {
  private static final String SUM = "What is 47 + 38?";

  @TempDir Path folder;

  private CliRun cli() {
    return new CliRun(folder);
  }

  private void writeHere(String text) throws IOException {
    Files.writeString(folder.resolve("remask.properties"), text);
  }

  private void writeForUser(String text) throws IOException {
    Path user = Files.createDirectories(folder.resolve("config/remask"));
    Files.writeString(user.resolve("remask.properties"), text);
  }

  private static String defaultOf(String flag, CliRun help) {
    assertEquals(ExitStatus.DONE, help.status(), help::toString);
    String text = help.out().replaceAll("\\s+", " ");
    int begin = text.indexOf("(default: ", text.indexOf(flag));
    return text.substring(begin + "(default: ".length(), text.indexOf(')', begin));
  }

  private String genLengthShown(CliRun run) {
    return defaultOf("--gen-length=N ", run.run("generate", "--help"));
  }

  @Test
  void flagBeforeVariableBeforeFileBeforeUsersFileBeforeDefault() throws IOException {
    assertEquals("64", genLengthShown(cli()));
    writeForUser("gen_length = 7\nblock_length=7\n");
    assertEquals("7", genLengthShown(cli()));
    writeHere("gen-length: 6\nblock_length=1\n");
    assertEquals("6", genLengthShown(cli()));
    CliRun withVariable = cli().with("REMASK_GEN_LENGTH", "5");
    assertEquals("5", genLengthShown(withVariable));

    CliRun byVariable =
        cli().with("REMASK_GEN_LENGTH", "5").with("REMASK_FORMAT", "json").run("generate", SUM);
    assertEquals(5, byVariable.json().getFirst().path("output_ids").size(), byVariable::toString);
    CliRun byFlag =
        cli()
            .with("REMASK_GEN_LENGTH", "5")
            .run("generate", SUM, "--format", "json", "--gen-length", "4");
    assertEquals(4, byFlag.json().getFirst().path("output_ids").size(), byFlag::toString);
  }

  @ParameterizedTest
  @CsvSource({
    "--gen-length=N, 64",
    "--block-length=N, 'gen-length, one block'",
    "--steps=N, 'gen-length, one token a step'",
    "--max-gen-length=N, 'off, gen-length is the length'",
    "--schedule=NAME, uniform",
    "--threshold=P, off",
    "--factor=F, off",
    "--revision-budget=N, '0, off'",
    "--revision-threshold=P, 0.1",
    "--temperature=T, 0",
    "--top-k=K, 0",
    "--top-p=P, 1",
    "--[no-]early-stop, false",
    "--cache=MODE, none",
    "--cache-refresh=N, 0",
    "--timeout-ms=N, never",
    "--max-tokens=N, 0",
    "--max-rows=N, 0",
    "--max-sequences=N, 64",
    "--max-cache-tokens=N, 0",
    "--cfg-scale=W, 0",
    "--remasking=RULE, low_confidence",
    "--[no-]suppress-eos, false",
    "--[no-]defer-eos, false",
    "--[no-]raw, false",
    "--[no-]trace, false",
    "--seed=N, 0",
    "--format=FORMAT, text",
    "--model=DIR, 'the built-in tiny-llada, 4.5 M parameters'",
    "--device=DEVICE, auto",
    "--dtype=TYPE, bf16",
    "--quantize=HOW, none",
  })
  void help_namesEveryDefault(String flag, String value) {
    assertEquals(value, defaultOf(flag, cli().run("generate", "--help")));
  }

  @Test
  void switches_areSetByVariablesAndUnsetByFlags() {
    CliRun set = cli().with("REMASK_SUPPRESS_EOS", "1").run("generate", "--help");
    assertEquals("true", defaultOf("suppress-eos", set));

    String[] command = {"generate", SUM, "--gen-length", "16", "--format", "json"};
    String usual = ids(cli().run(command));
    String suppressed = ids(cli().with("REMASK_SUPPRESS_EOS", "yes").run(command));
    assertTrue(usual.contains("2043") && !suppressed.contains("2043"), usual + "\n" + suppressed);
    // A flag that repeats the variable must not toggle it.
    assertEquals(
        suppressed,
        ids(cli().with("REMASK_SUPPRESS_EOS", "1").run(append(command, "--suppress-eos"))));
    assertEquals(suppressed, ids(cli().run(append(command, "--suppress-eos"))));
    assertEquals(
        usual,
        ids(cli().with("REMASK_SUPPRESS_EOS", "1").run(append(command, "--no-suppress-eos"))));
  }

  @Test
  void quantize_isSetByVariableAndFile() throws IOException {
    String[] command = {"generate", "--prompt-ids", "5,6", "--gen-length", "4", "--format", "json"};
    CliRun byVariable = cli().with("REMASK_QUANTIZE", "int8").run(command);
    assertEquals("int8", byVariable.json().getFirst().get("quantize").stringValue());
    writeHere("quantize = int8\n");
    CliRun byFile = cli().run(command);
    assertEquals("int8", byFile.json().getFirst().get("quantize").stringValue());
    assertEquals("int8", defaultOf("--quantize=HOW", cli().run("generate", "--help")));
  }

  private static String ids(CliRun run) {
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    return run.json().getFirst().path("output_ids").toString();
  }

  private static String[] append(String[] command, String flag) {
    String[] longer = Arrays.copyOf(command, command.length + 1);
    longer[command.length] = flag;
    return longer;
  }

  @Test
  void everyOption_isASettingButWhatOneRequestAsks() throws IOException {
    writeHere("temperature=1\ntop_k=3\nschedule=1,0.5,0\nearly_stop=yes\ncache=dual\n");
    CliRun set = cli().with("REMASK_BLOCK_LENGTH", "8").run("generate", SUM, "--format", "json");
    assertEquals(ExitStatus.DONE, set.status(), set::toString);
    assertTrue(set.json().getFirst().path("forward_passes").intValue() <= 16, set::toString);
    CliRun folderNamed =
        cli().with("REMASK_CACHE", folder.toString()).run("generate", SUM, "--gen-length", "4");
    assertEquals(ExitStatus.DONE, folderNamed.status(), "that is the folder of unpacked files");
    CliRun byVariable = cli().with("REMASK_CACHE_MODE", "all").run("generate", SUM);
    assertTrue(byVariable.err().contains("REMASK_CACHE_MODE"), byVariable::toString);
    writeHere("canvas=<mask>\n");
    CliRun asked = cli().run("generate", SUM);
    assertEquals(ExitStatus.USAGE, asked.status(), asked::toString);
    assertTrue(asked.err().contains("unknown setting canvas"), asked::toString);
  }

  @Test
  void badVariable_isNamed() {
    CliRun run = cli().with("REMASK_STEPS", "many").run("generate", SUM);
    assertEquals(ExitStatus.USAGE, run.status(), run::toString);
    assertTrue(run.err().contains("REMASK_STEPS") && run.err().contains("many"), run::toString);
  }

  @Test
  void badValueInFile_namesTheFile() throws IOException {
    writeHere("device=gpu\n");
    CliRun run = cli().run("generate", SUM);
    assertEquals(ExitStatus.USAGE, run.status(), run::toString);
    assertTrue(run.err().contains("remask.properties") && run.err().contains("gpu"), run::toString);
  }

  @Test
  void unknownKeyInFile_isNamed() throws IOException {
    writeHere("gen_lenght=3\n");
    CliRun run = cli().run("generate", SUM);
    assertEquals(ExitStatus.USAGE, run.status(), run::toString);
    assertTrue(run.err().contains("gen_lenght"), run::toString);
  }
}
