//! Takes the schemas out of Kafka's jars.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::step::Failure;

/// The jars that hold schemas, each with the folder they are in.
const JARS: [(&str, &str); 5] = [
    ("kafka-clients", "common/message/"),
    ("kafka-group-coordinator", "common/message/"),
    ("kafka-metadata", "common/metadata/"),
    ("kafka-raft", "common/message/"),
    ("kafka-transaction-coordinator", "common/message/"),
];

/// Path and text of every schema in the jars of this version in `directory`, ordered by path.
pub fn schemas(directory: &Path, version: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut schemas = Vec::new();
    for (jar, folder) in JARS {
        let path = directory.join(format!("{jar}-{version}.jar"));
        let failed = |e: &dyn std::fmt::Display| Failure::new(format!("{}: {e}", path.display()));
        let file = File::open(&path).map_err(|e| failed(&e))?;
        let mut archive = zip::ZipArchive::new(file).map_err(|e| failed(&e))?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(|e| failed(&e))?;
            let name = entry.name().map_err(|e| failed(&e))?.into_owned();
            if !(name.starts_with(folder) && name.ends_with(".json")) {
                continue;
            }
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(|e| failed(&e))?;
            schemas.push((format!("{jar}:{name}"), text));
        }
    }
    schemas.sort();
    Ok(schemas)
}
