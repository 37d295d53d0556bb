//! The bare loops as processes of their own: this very program, called in another way.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::Error;
use benches::clock::Nanos;
use benches::cluster::Cluster;

use crate::broker::free_address;
use crate::child::{Placement, Process};

/// How long to wait before asking again whether it answers.
const ASK_AGAIN_AFTER: Nanos = Nanos(1_000_000);

/// Which bare loop.
#[derive(Clone, Copy, Debug)]
pub enum Loop {
    /// Receive, CRC-32C, write; into a folder that is created and removed.
    Receive,
    /// sendfile from a folder that `prepare` has filled.
    Sendfile,
}

/// A bare loop that answers.
pub struct FloorProcess {
    process: Process,
    address: SocketAddr,
    removes: Option<PathBuf>,
}

impl FloorProcess {
    /// Starts a bare loop and waits for its first answer.
    pub fn start(which: Loop, dir: &Path, placement: Placement) -> Result<FloorProcess, Error> {
        let address = free_address()?;
        let own = std::env::current_exe().map_err(Error::io("looking for the own program"))?;
        fs::create_dir_all(dir).map_err(Error::io(format!("creating {}", dir.display())))?;
        let mut command = Command::new(own);
        let (name, removes) = match which {
            Loop::Receive => ("floor-receive", Some(dir.to_owned())),
            Loop::Sendfile => ("floor-sendfile", None),
        };
        command
            .arg(name)
            .arg("--listen")
            .arg(address.to_string())
            .arg("--dir")
            .arg(dir);
        let output = dir.join("output.log");
        let mut process = Process::start(name, &mut command, &output, placement)?;
        while Cluster::ping(address).is_err() {
            process.require_alive()?;
            ASK_AGAIN_AFTER.pause();
        }
        Ok(FloorProcess {
            process,
            address,
            removes,
        })
    }

    /// Where the load generator connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends the loop and removes what it wrote.
    pub fn remove(self) -> Result<(), Error> {
        drop(self.process);
        match self.removes {
            None => Ok(()),
            Some(dir) => {
                fs::remove_dir_all(&dir).map_err(Error::io(format!("removing {}", dir.display())))
            }
        }
    }
}
