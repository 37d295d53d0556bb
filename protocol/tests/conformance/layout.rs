//! Makes random frames of any message and version from layouts.txt, without the code under test.
//!
//! The frames are as an encoder writes them: default-valued tagged fields are left out, tags
//! ascend, lengths take as few bytes as they can. So a frame that is decoded and encoded again must
//! come out the same.

use crate::seed::Seed;
use std::collections::BTreeMap;

/// The layout of one message.
#[derive(Debug)]
pub struct Layout {
    pub kind: String,
    pub name: String,
    pub key: i16,
    pub versions: Span,
    flexible: Span,
    structs: BTreeMap<String, Vec<Field>>,
}

/// A range of versions; empty if `low > high`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub low: i16,
    pub high: i16,
}

impl Span {
    const NONE: Span = Span { low: 0, high: -1 };

    fn has(self, version: i16) -> bool {
        (self.low..=self.high).contains(&version)
    }

    fn parse(text: &str) -> Span {
        if text == "none" {
            return Span::NONE;
        }
        let (low, high) = text.split_once('-').expect("a range of versions");
        Span {
            low: low.parse().unwrap(),
            high: high.parse().unwrap(),
        }
    }
}

#[derive(Clone, Debug)]
struct Field {
    ty: String,
    plain: Span,
    tag: u32,
    tagged: Span,
    nullable: Span,
    default: String,
    fixed: bool,
}

impl Field {
    fn parse(line: &str) -> Field {
        let mut words = line.split_whitespace();
        words.next().expect("a name");
        let ty = words.next().expect("a type").to_owned();
        let plain = Span::parse(words.next().expect("versions"));
        let mut field = Field {
            ty,
            plain,
            tag: 0,
            tagged: Span::NONE,
            nullable: Span::NONE,
            default: String::new(),
            fixed: false,
        };
        for word in words {
            match word.split_once('=') {
                Some(("tag", value)) => {
                    let (tag, versions) = value.split_once(':').unwrap();
                    field.tag = tag.parse().unwrap();
                    field.tagged = Span::parse(versions);
                }
                Some(("nullable", value)) => field.nullable = Span::parse(value),
                Some(("default", value)) => field.default = value.to_owned(),
                _ => {
                    assert_eq!(word, "fixed");
                    field.fixed = true;
                }
            }
        }
        field
    }

    fn default_number(&self) -> i64 {
        match self.default.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).unwrap(),
            None if self.default.is_empty() => 0,
            None => self.default.parse().unwrap(),
        }
    }
}

/// All layouts, in the order of the file.
pub fn all() -> Vec<Layout> {
    let text = include_str!("../layouts.txt");
    let mut layouts: Vec<Layout> = Vec::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(field) = line.strip_prefix("  ") {
            let layout = layouts.last_mut().unwrap();
            layout
                .structs
                .get_mut(&current)
                .unwrap()
                .push(Field::parse(field));
        } else if let Some(name) = line.strip_prefix("struct ") {
            current = name.to_owned();
            layouts
                .last_mut()
                .unwrap()
                .structs
                .insert(current.clone(), Vec::new());
        } else {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, name, key, versions, flexible] = words[..] else {
                panic!("not a message: {line}");
            };
            layouts.push(Layout {
                kind: kind.to_owned(),
                name: name.to_owned(),
                key: key.parse().unwrap(),
                versions: Span::parse(versions),
                flexible: Span::parse(flexible),
                structs: BTreeMap::new(),
            });
        }
    }
    layouts
}

/// How full the random values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// Everything has its default.
    Default,
    /// Anything goes.
    Random,
    /// This many structs in each outermost array of them, one of everything else, nothing null,
    /// names of twelve letters.
    Many(usize),
}

impl Layout {
    /// A frame of this version.
    pub fn frame(&self, version: i16, fill: Fill, seed: &mut Seed) -> Vec<u8> {
        let mut writer = Writer {
            layout: self,
            version,
            seed,
            fill,
            out: Vec::new(),
            depth: 0,
            within_many: false,
        };
        writer.write_struct(&self.name);
        writer.out
    }
}

struct Writer<'a> {
    layout: &'a Layout,
    version: i16,
    seed: &'a mut Seed,
    fill: Fill,
    out: Vec<u8>,
    depth: u32,
    within_many: bool,
}

impl Writer<'_> {
    fn flexible(&self) -> bool {
        self.layout.flexible.has(self.version)
    }

    fn write_struct(&mut self, name: &str) {
        let layout = self.layout;
        let version = self.version;
        let fields = &layout.structs[name];
        self.depth += 1;
        for field in fields.iter().filter(|field| field.plain.has(version)) {
            let nullable = field.nullable.has(self.version);
            self.write_field(field, nullable, false);
        }
        if self.flexible() {
            self.write_tags(fields);
        }
        self.depth -= 1;
    }

    fn write_tags(&mut self, fields: &[Field]) {
        let mut tagged: Vec<&Field> = fields
            .iter()
            .filter(|field| field.tagged.has(self.version))
            .collect();
        tagged.sort_by_key(|field| field.tag);
        let mut values = Vec::new();
        for field in tagged {
            let nullable = field.nullable.has(self.version);
            let value = self.apart(self.fill, |w| w.write_field(field, nullable, true));
            let default = self.apart(Fill::Default, |w| w.write_field(field, nullable, true));
            if value != default {
                values.push((field.tag, value));
            }
        }
        self.varint(values.len() as u32);
        for (tag, value) in values {
            self.varint(tag);
            self.varint(value.len() as u32);
            self.out.extend_from_slice(&value);
        }
    }

    /// What `write` writes, and not in place.
    fn apart(&mut self, fill: Fill, write: impl FnOnce(&mut Self)) -> Vec<u8> {
        let before = std::mem::take(&mut self.out);
        let fill = std::mem::replace(&mut self.fill, fill);
        write(self);
        self.fill = fill;
        std::mem::replace(&mut self.out, before)
    }

    fn write_field(&mut self, field: &Field, nullable: bool, tagged: bool) {
        let is_null = match self.fill {
            // Records default to null, but not all may be.
            Fill::Default => nullable && (field.default == "null" || field.ty == "records"),
            Fill::Random => nullable && self.seed.once_in(4),
            Fill::Many(_) => false,
        };
        let default = self.fill == Fill::Default;
        match field.ty.as_str() {
            "string" => {
                let text = if default {
                    field.default.replace("null", "")
                } else {
                    self.text()
                };
                self.string_len((!is_null).then_some(text.len()), field.fixed);
                self.raw_unless(is_null, text.as_bytes());
            }
            "bytes" | "records" => {
                let len = if default {
                    0
                } else {
                    self.seed.below(20) as usize
                };
                let bytes = self.seed.bytes(len);
                self.len((!is_null).then_some(len));
                self.raw_unless(is_null, &bytes);
            }
            array if array.starts_with("[]") => {
                let is_many = self.becomes_many(&array[2..]);
                let count = self.count(is_many);
                self.len((!is_null).then_some(count));
                let element = Field {
                    ty: array[2..].to_owned(),
                    default: String::new(),
                    ..field.clone()
                };
                for _ in 0..if is_null { 0 } else { count } {
                    self.write_field(&element, false, false);
                }
                self.within_many &= !is_many;
            }
            ty if self.layout.structs.contains_key(ty) => {
                match (nullable, tagged) {
                    (false, _) => {}
                    (true, false) => self.out.push(if is_null { 0xff } else { 1 }),
                    (true, true) => self.out.push(u8::from(!is_null)),
                }
                if !is_null {
                    self.write_struct(ty);
                }
            }
            _ => self.write_fixed(field),
        }
    }

    /// Whether this is an outermost array of structs, from which on everything is single.
    fn becomes_many(&mut self, element: &str) -> bool {
        let is_struct = self.layout.structs.contains_key(element);
        let becomes = matches!(self.fill, Fill::Many(_)) && is_struct && !self.within_many;
        self.within_many |= becomes;
        becomes
    }

    fn count(&mut self, is_many: bool) -> usize {
        match self.fill {
            Fill::Default => 0,
            // Deep structures stay small.
            Fill::Random => self.seed.below(if self.depth > 2 { 2 } else { 4 }) as usize,
            Fill::Many(count) if is_many => count,
            Fill::Many(_) => 1,
        }
    }

    fn write_fixed(&mut self, field: &Field) {
        let default = self.fill == Fill::Default;
        let number = |w: &mut Self| {
            if default {
                field.default_number()
            } else {
                w.number()
            }
        };
        match field.ty.as_str() {
            "bool" => {
                let value = if default {
                    field.default == "true"
                } else {
                    self.seed.once_in(2)
                };
                self.out.push(u8::from(value));
            }
            "int8" => {
                let value = number(self) as i8;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            "int16" | "uint16" => {
                let value = number(self) as i16;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            "int32" | "uint32" => {
                let value = number(self) as i32;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            "int64" => {
                let value = number(self);
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            "float64" => {
                let value = number(self) as i32 as f64;
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            "uuid" => {
                let value = if default {
                    vec![0; 16]
                } else {
                    self.seed.bytes(16)
                };
                self.out.extend_from_slice(&value);
            }
            other => panic!("unknown type {other}"),
        }
    }

    fn number(&mut self) -> i64 {
        let shift = self.seed.below(64);
        (self.seed.bits() as i64) >> shift
    }

    fn text(&mut self) -> String {
        if matches!(self.fill, Fill::Many(_)) {
            return "twelve-chars".to_owned();
        }
        let len = if self.seed.once_in(20) {
            200
        } else {
            self.seed.below(9)
        };
        (0..len)
            .map(|_| ['a', 'Z', '-', '.', '0', 'é', '世'][self.seed.below(7) as usize])
            .collect()
    }

    fn raw_unless(&mut self, is_null: bool, bytes: &[u8]) {
        if !is_null {
            self.out.extend_from_slice(bytes);
        }
    }

    fn string_len(&mut self, len: Option<usize>, fixed: bool) {
        if self.flexible() && !fixed {
            self.varint(len.map_or(0, |len| len as u32 + 1));
        } else {
            self.out
                .extend_from_slice(&len.map_or(-1, |len| len as i16).to_be_bytes());
        }
    }

    fn len(&mut self, len: Option<usize>) {
        if self.flexible() {
            self.varint(len.map_or(0, |len| len as u32 + 1));
        } else {
            self.out
                .extend_from_slice(&len.map_or(-1, |len| len as i32).to_be_bytes());
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
