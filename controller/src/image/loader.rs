//! Applies the metadata log to an image, with metadata transactions (KIP-868): what stands
//! between a begin and an end record counts only once the end is there.
//!
//! Invariant: `image()` never shows half a transaction.

use super::{Image, ReplayError};
use crate::record::Record;

/// The image of a log that is being read or written.
#[derive(Clone, Debug)]
pub struct Loader {
    image: Image,
    before_transaction: Option<Image>,
}

impl Loader {
    /// Starts from an image, usually an empty one.
    pub fn new(image: Image) -> Self {
        Self {
            image,
            before_transaction: None,
        }
    }

    /// Applies one record. After an error the image is as before the record.
    pub fn apply(&mut self, record: &Record) -> Result<(), ReplayError> {
        match record {
            Record::BeginTransaction(_) if self.before_transaction.is_some() => {
                Err(ReplayError::NestedTransaction)
            }
            Record::BeginTransaction(_) => {
                self.before_transaction = Some(self.image.clone());
                Ok(())
            }
            Record::EndTransaction(_) => match self.before_transaction.take() {
                Some(_) => Ok(()),
                None => Err(ReplayError::NoTransaction),
            },
            Record::AbortTransaction(_) => match self.before_transaction.take() {
                Some(before) => {
                    self.image = before;
                    Ok(())
                }
                None => Err(ReplayError::NoTransaction),
            },
            record => self.image.apply(record),
        }
    }

    /// Whether a transaction has begun and not ended. At the end of a log it never will: a new
    /// leader aborts it.
    pub fn in_transaction(&self) -> bool {
        self.before_transaction.is_some()
    }

    /// What readers may see.
    pub fn image(&self) -> &Image {
        self.before_transaction.as_ref().unwrap_or(&self.image)
    }
}
