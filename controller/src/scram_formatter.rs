//! What SCRAM makes of a password (RFC 5802): the salted password, and the two keys that are kept.
//!
//! It must not know who has which credential (`scram`). Passwords are taken as they are, as Kafka
//! does it: not brought into a normal form.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256, Sha512};

/// A mechanism by Kafka's number, which requests and records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256
    Sha256 = 1,
    /// SCRAM-SHA-512
    Sha512 = 2,
}

/// The keys of a credential: with them a client is known, and the server proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramKeys {
    /// Hash of the client's key.
    pub stored_key: Vec<u8>,
    /// The server's key.
    pub server_key: Vec<u8>,
}

impl ScramMechanism {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The mechanism of a number.
    pub fn from_wire(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as i8 == id)
    }

    /// The mechanism of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Its name in SASL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// `Hi` of RFC 5802: the password, salted, `iterations` times over; at least once.
    pub fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut last = self.hmac(password, &[salt, &[0, 0, 0, 1]]);
        let mut salted = last.clone();
        for _ in 1..iterations {
            last = self.hmac(password, &[&last]);
            salted
                .iter_mut()
                .zip(&last)
                .for_each(|(byte, more)| *byte ^= more);
        }
        salted
    }

    /// What is kept of a salted password.
    pub fn keys(self, salted_password: &[u8]) -> ScramKeys {
        let client_key = self.hmac(salted_password, &[b"Client Key"]);
        ScramKeys {
            stored_key: self.hash(&client_key),
            server_key: self.hmac(salted_password, &[b"Server Key"]),
        }
    }

    fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha256 => mac::<Hmac<Sha256>>(key, parts),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, parts),
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key);
    let mut mac = mac.expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The salted password is PBKDF2 with one block, the vectors are those that everybody has.
    #[test]
    fn salted_passwords_are_those_of_published_vectors() {
        for (mechanism, iterations, begin) in [
            (
                ScramMechanism::Sha256,
                1,
                "120fb6cffcf8b32c43e7225256c4f837",
            ),
            (
                ScramMechanism::Sha256,
                4096,
                "c5e478d59288c841aa530db6845c4c8d",
            ),
            (
                ScramMechanism::Sha512,
                1,
                "867f70cf1ade02cff3752599a3a53dc4",
            ),
            (
                ScramMechanism::Sha512,
                4096,
                "d197b1b33db0143e018b12f3d1d1479e",
            ),
        ] {
            let salted = mechanism.salted_password(b"password", b"salt", iterations);
            let name = mechanism.name();
            let bits = salted.len() * 8;
            assert!(name.ends_with(&bits.to_string()), "{name}: {bits} bits");
            assert_eq!(hex(&salted[..16]), begin, "{name} {iterations}");
        }
    }

    /// RFC 7677, section 3: user, password `pencil`. The server's signature there is the HMAC of the
    /// messages with the server key, the client's proof the client key hidden by the stored key's.
    #[test]
    fn keys_make_the_conversation_of_rfc_7677() {
        let mechanism = ScramMechanism::Sha256;
        let salt = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
        let salted = mechanism.salted_password(b"pencil", salt, 4096);
        let keys = mechanism.keys(&salted);
        let said: &[&[u8]] = &[
            b"n=user,r=rOprNGfwEbeRWgbNEkqO,",
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
              s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,",
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        ];
        // 6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=
        assert_eq!(
            hex(&mechanism.hmac(&keys.server_key, said)),
            "eabae24d1062db75a9451ff0b6ea7e98c8546549ff741e672d3251b2397de46e"
        );
        // dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=
        let signature = mechanism.hmac(&keys.stored_key, said);
        let client_key = mechanism.hmac(&salted, &[b"Client Key"]);
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(key, over)| key ^ over)
            .collect();
        assert_eq!(
            hex(&proof),
            "747cdb65aa56224e2352137e52d7bdcad6a0f738df30782caa69a2cfb0277554"
        );
    }
}
