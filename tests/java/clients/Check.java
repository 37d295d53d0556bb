import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;

/** What the clients here assert with: a failure ends the client, and so the Rust test. */
final class Check {
    private Check() {}

    static void equal(Object wanted, Object found, String what) {
        if (!Objects.equals(wanted, found)) {
            throw new AssertionError(what + ": wanted " + wanted + ", found " + found);
        }
    }

    static void holds(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    /** Asks again and again until the answer is the wanted one; a broker may learn late of a change. */
    static void reaches(Object wanted, Callable<?> probe, String what) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        Object found = probe.call();
        while (!Objects.equals(wanted, found)) {
            holds(System.nanoTime() < deadline, what + ": wanted " + wanted + ", found " + found);
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
            found = probe.call();
        }
    }

    /** Waits for an answer of the broker. */
    static <T> T answer(Future<T> future) throws Exception {
        return future.get(60, TimeUnit.SECONDS);
    }

    /** Waits for an answer that must be the given error. */
    static void fails(Class<? extends Throwable> wanted, Future<?> future) throws Exception {
        try {
            answer(future);
        } catch (ExecutionException failed) {
            if (wanted.isInstance(failed.getCause())) {
                return;
            }
            throw new AssertionError("wanted " + wanted.getName(), failed.getCause());
        } catch (TimeoutException late) {
            throw new AssertionError("no answer, wanted " + wanted.getName(), late);
        }
        throw new AssertionError("succeeded, wanted " + wanted.getName());
    }
}
