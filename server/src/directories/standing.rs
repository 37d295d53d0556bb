//! How the node's log directories are, and what a path is to them: for those who ask by path.

use std::path::{Path, PathBuf};

use engine::DiskSpace;
use protocol::ids::Uuid;

use super::Directories;

/// How one of `log.dirs` is.
pub struct DirectoryState {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its id and the room in it; `None` if it cannot be used.
    pub usable: Option<(Uuid, DiskSpace)>,
}

/// What a path is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStanding {
    /// None of its log directories.
    Unknown,
    /// One that cannot be used.
    Failed,
    /// The one with this id.
    Usable(Uuid),
}

impl Directories {
    /// What an absolute path, as DescribeLogDirs tells it, is to this node; `configured` are all its
    /// directories. Without a look at the disk.
    pub fn standing(&self, configured: &[PathBuf], path: &Path) -> PathStanding {
        let is_it = |one: &Path| std::path::absolute(one).is_ok_and(|one| one == path);
        match self
            .all
            .iter()
            .position(|directory| is_it(directory.path()))
        {
            Some(n) if self.is_usable(n) => PathStanding::Usable(self.ids[n]),
            Some(_) => PathStanding::Failed,
            None if configured.iter().any(|one| is_it(one)) => PathStanding::Failed,
            None => PathStanding::Unknown,
        }
    }

    /// How each of `paths` is, which are those of the configuration.
    pub fn states(&self, paths: &[PathBuf]) -> Vec<DirectoryState> {
        let state = |path: &PathBuf| {
            let at = self
                .all
                .iter()
                .position(|directory| directory.path() == path);
            let at = at.filter(|n| self.is_usable(*n));
            let usable = at.and_then(|n| match self.all[n].disk_space() {
                Ok(space) => Some((self.ids[n], space)),
                Err(error) => {
                    tracing::warn!(
                        "{}: its file system does not answer: {error}",
                        path.display()
                    );
                    None
                }
            });
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            DirectoryState { path, usable }
        };
        paths.iter().map(state).collect()
    }
}
