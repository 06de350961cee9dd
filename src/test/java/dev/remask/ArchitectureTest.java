package dev.remask;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.methods;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/// The layers of the design, held by a test: imports run one way, and only the bindings link.
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages("dev.remask");

  private static final DescribedPredicate<JavaClass> FOREIGN =
      JavaClass.Predicates.resideInAPackage("java.lang.foreign").as("java.lang.foreign types");

  @Test
  void importsRunOneWay() {
    assertTrue(CLASSES.size() > 40, "the product's classes were found");
    layeredArchitecture()
        .consideringOnlyDependenciesInLayers()
        .layer("cli")
        .definedBy("dev.remask.cli..")
        .layer("bench")
        .definedBy("dev.remask.bench..")
        .layer("facade")
        .definedBy("dev.remask")
        .layer("diffusion")
        .definedBy("dev.remask.diffusion..")
        .layer("model")
        .definedBy("dev.remask.model..")
        .layer("text")
        .definedBy("dev.remask.text..")
        .layer("kernel")
        .definedBy("dev.remask.kernel..")
        .layer("cuda")
        .definedBy("dev.remask.cuda..")
        .layer("support")
        .definedBy("dev.remask.support..")
        .whereLayer("cli")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("bench")
        .mayOnlyBeAccessedByLayers("cli")
        .whereLayer("facade")
        .mayOnlyBeAccessedByLayers("cli", "bench")
        .whereLayer("diffusion")
        .mayOnlyBeAccessedByLayers("cli", "bench", "facade")
        .whereLayer("model")
        .mayOnlyBeAccessedByLayers("cli", "bench", "facade", "diffusion")
        .whereLayer("text")
        .mayOnlyBeAccessedByLayers("cli", "facade")
        .whereLayer("kernel")
        .mayOnlyBeAccessedByLayers("cli", "bench", "facade", "diffusion", "model")
        .whereLayer("support")
        .mayNotAccessAnyLayer()
        .check(CLASSES);
  }

  /// `jdk.jfr` may be missing at run time: nobody else may be linked to it.
  @Test
  void onlyTheEventsKnowTheFlightRecorder() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.remask.support")
        .or()
        .haveSimpleName("Flight")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("jdk.jfr..")
        .check(CLASSES);
  }

  @Test
  void onlyTheBindingsLink() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.remask.cuda")
        .should()
        .dependOnClassesThat()
        .haveFullyQualifiedName("java.lang.foreign.Linker")
        .orShould()
        .dependOnClassesThat()
        .haveFullyQualifiedName("java.lang.foreign.SymbolLookup")
        .orShould()
        .dependOnClassesThat()
        .haveFullyQualifiedName("java.lang.foreign.FunctionDescriptor")
        .check(CLASSES);
    classes()
        .that()
        .resideOutsideOfPackages("dev.remask.cuda", "dev.remask.kernel", "dev.remask.model")
        .should()
        .onlyDependOnClassesThat(DescribedPredicate.not(FOREIGN))
        .check(CLASSES);
  }

  /// Native images and embedders with sealed class paths know what is called: nothing is looked up
  /// by a computed name. Method handles of the bindings are constants of the C functions' own
  /// names.
  @Test
  void noReflectionOnThePath() {
    noClasses()
        .that()
        .resideInAnyPackage(
            "dev.remask",
            "dev.remask.diffusion",
            "dev.remask.model",
            "dev.remask.kernel",
            "dev.remask.cuda")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("java.lang.reflect")
        .orShould()
        .dependOnClassesThat()
        .haveFullyQualifiedName("java.util.ServiceLoader")
        .orShould()
        .callMethod(Class.class, "forName", String.class)
        .orShould()
        .callMethod(Class.class, "forName", String.class, boolean.class, ClassLoader.class)
        .orShould()
        .callMethodWhere(
            DescribedPredicate.describe(
                "reads or makes members of classes",
                call ->
                    call.getTargetOwner().isEquivalentTo(Class.class)
                        && call.getName().matches("get(Declared)?(Method|Field|Constructor)s?.*")))
        .orShould()
        .callMethodWhere(
            DescribedPredicate.describe(
                "binds Java objects to JSON by their members",
                call ->
                    call.getTargetOwner().isAssignableTo("tools.jackson.databind.ObjectMapper")
                        && call.getName().matches("convertValue|readValue.*|valueToTree")))
        .check(CLASSES);
  }

  @Test
  void noExportedSignatureShowsForeignMemory() {
    methods()
        .that()
        .arePublic()
        .and()
        .areDeclaredInClassesThat()
        .arePublic()
        .should()
        .notHaveRawReturnType(FOREIGN)
        .andShould()
        .notHaveRawParameterTypes(DescribedPredicate.anyElementThat(FOREIGN))
        .check(CLASSES);
  }

  @Test
  void mavenWrapperStillFindsJdk25() throws Exception {
    // An upgrade of the wrapper rewrites mvnw; without this line Maven would run on any old JDK.
    long lines =
        Files.readAllLines(Path.of("mvnw")).stream()
            .filter(line -> line.startsWith(". \"$(dirname \"$0\")/.mvn/find-jdk.sh\" # remask:"))
            .count();
    assertEquals(1, lines, "mvnw sources .mvn/find-jdk.sh in one marked line");
  }
}
