//! Small GGUF files made by hand, for the tests of everything that reads such files.

/// Writes GGUF bytes.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    metadata: Vec<u8>,
    entries: u64,
    tensors: Vec<u8>,
    count: u64,
    data: u64,
}

impl Builder {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }

    /// An entry of any type.
    #[must_use]
    pub fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        Self::text(&mut self.metadata, key);
        self.metadata.extend(kind.to_le_bytes());
        self.metadata.extend(value);
        self.entries += 1;
        self
    }

    /// A text.
    #[must_use]
    pub fn string(self, key: &str, value: &str) -> Self {
        let mut bytes = Vec::new();
        Self::text(&mut bytes, value);
        self.raw(key, 8, &bytes)
    }

    /// A number of 32 bits.
    #[must_use]
    pub fn number(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    /// An array of numbers of 32 bits.
    #[must_use]
    pub fn numbers(self, key: &str, values: &[u32]) -> Self {
        let mut bytes = 4_u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.raw(key, 9, &bytes)
    }

    /// An array of texts.
    #[must_use]
    pub fn strings(self, key: &str, values: &[&str]) -> Self {
        let mut bytes = 8_u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| Self::text(&mut bytes, value));
        self.raw(key, 9, &bytes)
    }

    /// A tensor of a type, with so many bytes of data behind the header.
    #[must_use]
    pub fn tensor(mut self, name: &str, kind: u32, dimensions: &[u64], bytes: u64) -> Self {
        Self::text(&mut self.tensors, name);
        self.tensors.extend(u32::try_from(dimensions.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.tensors.extend(dimensions.iter().flat_map(|size| size.to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend(self.data.to_le_bytes());
        self.data = (self.data + bytes).next_multiple_of(32);
        self.count += 1;
        self
    }

    /// The whole file.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(&self.metadata);
        bytes.extend(&self.tensors);
        let data = usize::try_from(self.data).unwrap_or(0);
        bytes.resize(bytes.len().next_multiple_of(32) + data, 7);
        bytes
    }
}

/// A tiny model: 4 layers, 8 heads of 8, 2 of them for keys and values.
#[must_use]
pub fn small() -> Builder {
    Builder::default()
        .string("general.architecture", "llama")
        .string("general.name", "Tiny Test")
        .string("general.license", "apache-2.0")
        .number("general.file_type", 1027)
        .number("llama.context_length", 2048)
        .number("llama.block_count", 4)
        .number("llama.embedding_length", 64)
        .number("llama.attention.head_count", 8)
        .number("llama.attention.head_count_kv", 2)
        .raw("llama.rope.freq_base", 6, &1.0_f32.to_le_bytes())
        .strings("tokenizer.ggml.tokens", &["a", "b", "", "d"])
        .string("tokenizer.chat_template", "{{ messages }}")
        .tensor("token_embd.weight", 3, &[64, 4], 160)
        .tensor("norm.weight", 0, &[64], 256)
}

/// A whole file that passes; `salt` makes files of one kind differ.
#[must_use]
pub fn model_bytes(salt: &str) -> Vec<u8> {
    small().string("general.salt", salt).build()
}
