//! Reading a whole log at start-up, batch by batch: the metadata log, coordinators' logs.
//!
//! Blocking.

use crate::batch_walk::{Walk, find_blocking};
use crate::disk;
use crate::log::Log;
use crate::segment_scan::{SegmentScan, Stopped};
use protocol::batch::BatchView;
use protocol::ids::{Offset, Position};
use ring::file::File;
use std::io;
use std::ops::ControlFlow;

impl Log {
    /// Calls `each` with every batch from the one that holds `from` on, until it breaks or the log
    /// ends. A batch whose CRC is wrong ends it with an error.
    pub fn replay(
        &self,
        from: Offset,
        each: &mut dyn FnMut(&BatchView<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let first = self.segments.floor(from);
        for segment in self.segments.sealed.iter().skip(first) {
            let start = segment.floor_position_blocking(from)?;
            let file = segment.file_blocking()?;
            if replay_stretch(&file, (start, segment.end), from, each)?.is_break() {
                return Ok(());
            }
        }
        let active = &self.segments.active;
        replay_stretch(&active.file, (Position::ZERO, active.end), from, each).map(|_| ())
    }
}

fn replay_stretch(
    file: &File,
    (start, end): (Position, Position),
    from: Offset,
    each: &mut dyn FnMut(&BatchView<'_>) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let first = find_blocking(file, Walk::new(start, end), |b| b.last_offset >= from)?;
    let Some(first) = first else {
        return Ok(ControlFlow::Continue(()));
    };
    let mut scan = SegmentScan::new(file, first.position, end);
    loop {
        match scan.next() {
            Ok(Some((_, batch))) => {
                if each(&batch).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(None) => return Ok(ControlFlow::Continue(())),
            Err(Stopped::Io(error)) => return Err(error),
            Err(Stopped::Damaged(position, why)) => {
                let what = format!("no sound batch at position {position}: {why}");
                return Err(disk::invalid(file, what));
            }
        }
    }
}
