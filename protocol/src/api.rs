//! Which APIs and versions there are: one table that feeds ApiVersions, decoding, dispatch and
//! the golden tests.
//!
//! The ranges are those that a broker of Kafka 3.9 with ZooKeeper advertises, as far as such a
//! broker serves the API at all: [`ApiSpec::on_zookeeper_broker`].

mod table;

pub use crate::messages::any::{AnyRequest, AnyResponse};
pub use table::{API_TABLE, ApiKey};

/// One API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiSpec {
    /// Its key.
    pub key: ApiKey,
    /// Kafka's name.
    pub name: &'static str,
    /// The first version.
    pub version_min: i16,
    /// The last version.
    pub version_max: i16,
    /// The first flexible version (KIP-482); `i16::MAX` if there is none.
    pub flexible_from: i16,
    /// Whether a broker with ZooKeeper serves the API; otherwise only KRaft's brokers or
    /// controllers do.
    pub on_zookeeper_broker: bool,
}

impl ApiSpec {
    /// Whether there is such a version.
    #[must_use]
    pub const fn has_version(&self, version: i16) -> bool {
        self.version_min <= version && version <= self.version_max
    }

    /// Whether the version is flexible.
    #[must_use]
    pub const fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }

    /// The version of the header in front of such a request.
    #[must_use]
    pub const fn request_header_version(&self, version: i16) -> i16 {
        if matches!(self.key, ApiKey::ControlledShutdown) && version == 0 {
            // It has no client id.
            0
        } else if self.is_flexible(version) {
            2
        } else {
            1
        }
    }

    /// The version of the header in front of such a response.
    #[must_use]
    pub const fn response_header_version(&self, version: i16) -> i16 {
        // A client that asks for versions cannot know yet whether the broker's header is flexible
        // (KIP-511).
        if self.is_flexible(version) && !matches!(self.key, ApiKey::ApiVersions) {
            1
        } else {
            0
        }
    }
}

impl ApiKey {
    /// The API of this key, if there is one.
    #[must_use]
    pub fn from_code(key: i16) -> Option<ApiKey> {
        usize::try_from(key)
            .ok()
            .and_then(|at| API_TABLE.get(at))
            .map(|spec| spec.key)
    }

    /// The key on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Its row of the table.
    #[must_use]
    pub fn spec(self) -> &'static ApiSpec {
        &API_TABLE[self as usize]
    }

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}
