import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the {@code main} of Kafka's unchanged tools, and of the clients beside this file, each call
 * in a thread of its own with its own standard streams and exit status.
 *
 * <p>Calls come in on standard input and answers leave on standard output; tests/src/java.rs is the
 * other end. The program ends when its standard input does.
 */
public final class ToolRunner {
    /** What belongs to one call; threads that a tool starts inherit it. */
    private static final class Call {
        final InputStream input;
        final ByteArrayOutputStream output = new ByteArrayOutputStream();
        final ByteArrayOutputStream errors = new ByteArrayOutputStream();
        final List<Runnable> shutdownHooks = new ArrayList<>();
        Integer exit;

        Call(byte[] input) {
            this.input = new ByteArrayInputStream(input);
        }
    }

    /** Leaves a tool that asked for the process to end; no tool catches it. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1L;
    }

    private static final InheritableThreadLocal<Call> CURRENT = new InheritableThreadLocal<>();

    public static void main(String[] arguments) throws Exception {
        DataInputStream calls =
            new DataInputStream(new BufferedInputStream(new FileInputStream(FileDescriptor.in)));
        DataOutputStream answers =
            new DataOutputStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        PrintStream errors = System.err;
        System.setIn(new RoutedInput());
        System.setOut(new PrintStream(new RoutedOutput(false, errors), true));
        System.setErr(new PrintStream(new RoutedOutput(true, errors), true));
        Exit.setExitProcedure(ToolRunner::end);
        Exit.setHaltProcedure(ToolRunner::end);
        Exit.setShutdownHookAdder((name, hook) -> CURRENT.get().shutdownHooks.add(hook));
        ClassLoader classes = compile(Path.of(arguments[0]));
        while (true) {
            int id;
            try {
                id = calls.readInt();
            } catch (EOFException end) {
                System.exit(0);
                return;
            }
            String mainClass = readText(calls);
            String[] words = new String[calls.readInt()];
            for (int i = 0; i < words.length; i++) {
                words[i] = readText(calls);
            }
            Call call = new Call(readBytes(calls));
            new Thread(() -> answer(answers, id, call, classes, mainClass, words)).start();
        }
    }

    private static void answer(
        DataOutputStream answers, int id, Call call, ClassLoader classes, String mainClass, String[] words) {
        CURRENT.set(call);
        int exit = run(call, classes, mainClass, words);
        System.out.flush();
        System.err.flush();
        synchronized (answers) {
            try {
                answers.writeInt(id);
                answers.writeInt(exit);
                writeBytes(answers, call.output.toByteArray());
                writeBytes(answers, call.errors.toByteArray());
                answers.flush();
            } catch (IOException gone) {
                System.exit(1);
            }
        }
    }

    private static int run(Call call, ClassLoader classes, String mainClass, String[] words) {
        try {
            Class.forName(mainClass, true, classes)
                .getMethod("main", String[].class)
                .invoke(null, (Object) words);
        } catch (InvocationTargetException failed) {
            if (call.exit == null) {
                failed.getCause().printStackTrace();
                call.exit = 1;
            }
        } catch (ReflectiveOperationException missing) {
            missing.printStackTrace();
            call.exit = 1;
        }
        call.shutdownHooks.forEach(Runnable::run);
        return call.exit == null ? 0 : call.exit;
    }

    private static void end(int status, String message) {
        Call call = CURRENT.get();
        if (message != null) {
            System.err.println(message);
        }
        // The first status counts: a tool may catch what is thrown here, and ask again.
        if (call.exit == null) {
            call.exit = status;
        }
        throw new Ended();
    }

    /** Compiles the sources in a directory, and gives a loader that knows them and Kafka's classes. */
    private static ClassLoader compile(Path sources) throws IOException {
        Path classes = Files.createTempDirectory("chiplog-tests-classes");
        List<String> options = new ArrayList<>(
            List.of("-Xlint:all,-processing", "-Werror", "-d", classes.toString()));
        options.addAll(List.of("-proc:none", "-cp", System.getProperty("java.class.path")));
        try (Stream<Path> files = Files.list(sources)) {
            files.filter(file -> file.toString().endsWith(".java")).map(Path::toString).forEach(options::add);
        }
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        int status = compiler.run(null, System.err, System.err, options.toArray(new String[0]));
        if (status != 0) {
            throw new IllegalStateException("the sources in " + sources + " do not compile");
        }
        URLClassLoader loader = new URLClassLoader(
            new URL[] {classes.toUri().toURL()}, ToolRunner.class.getClassLoader());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> remove(classes)));
        return loader;
    }

    private static void remove(Path directory) {
        try (Stream<Path> files = Files.walk(directory)) {
            files.sorted((a, b) -> b.compareTo(a)).forEach(file -> file.toFile().delete());
        } catch (IOException left) {
            System.err.println(left);
        }
    }

    private static String readText(DataInputStream calls) throws IOException {
        return new String(readBytes(calls), StandardCharsets.UTF_8);
    }

    private static byte[] readBytes(DataInputStream calls) throws IOException {
        byte[] bytes = new byte[calls.readInt()];
        calls.readFully(bytes);
        return bytes;
    }

    private static void writeBytes(DataOutputStream answers, byte[] bytes) throws IOException {
        answers.writeInt(bytes.length);
        answers.write(bytes);
    }

    /** Standard input of the call that the reading thread belongs to. */
    private static final class RoutedInput extends InputStream {
        @Override
        public int read() throws IOException {
            return CURRENT.get().input.read();
        }

        @Override
        public int read(byte[] into, int from, int length) throws IOException {
            return CURRENT.get().input.read(into, from, length);
        }

        @Override
        public int available() throws IOException {
            return CURRENT.get().input.available();
        }
    }

    /** Standard output or error of the call that the writing thread belongs to. */
    private static final class RoutedOutput extends OutputStream {
        private final boolean isErrors;
        private final OutputStream outsideOfCalls;

        RoutedOutput(boolean isErrors, OutputStream outsideOfCalls) {
            this.isErrors = isErrors;
            this.outsideOfCalls = outsideOfCalls;
        }

        @Override
        public void write(int one) throws IOException {
            stream().write(one);
        }

        @Override
        public void write(byte[] bytes, int from, int length) throws IOException {
            stream().write(bytes, from, length);
        }

        private OutputStream stream() {
            Call call = CURRENT.get();
            if (call == null) {
                return outsideOfCalls;
            }
            return isErrors ? call.errors : call.output;
        }
    }
}
