//! SIGTERM and SIGINT as futures. A program of its own: the signals must be blocked before there is
//! a second thread, which the test harness would have.

use ring::signal::{Signal, block, terminated};
use ring::{Options, Runtime};

fn main() {
    block().unwrap();
    std::thread::spawn(|| {
        let mut runtime = Runtime::new(Options::default()).unwrap();
        for (number, signal) in [
            (libc::SIGTERM, Signal::Terminate),
            (libc::SIGINT, Signal::Interrupt),
        ] {
            let got = runtime.block_on(async {
                ring::spawn(async move {
                    // SAFETY: kill takes no pointers; the signal is for this process.
                    assert_eq!(unsafe { libc::kill(libc::getpid(), number) }, 0);
                });
                terminated().await.unwrap()
            });
            assert_eq!(got, signal);
        }
    })
    .join()
    .unwrap();
    println!("signals: ok");
}
