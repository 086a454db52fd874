use bytes::Bytes;
pub struct Budget(usize);
pub struct Share(usize);
#[derive(Debug)]
pub struct Full;
impl Budget {
    pub fn new(b: usize) -> Self {
        Self(b)
    }
    pub async fn reserve(&self, b: usize, _p: std::time::Duration) -> Result<Share, Full> {
        if b > self.0 { Err(Full) } else { Ok(Share(b)) }
    }
}
impl Share {
    pub fn bytes(&self) -> usize {
        self.0
    }
    pub async fn grow(&mut self, m: usize, _: std::time::Duration) -> Result<(), Full> {
        self.0 += m;
        Ok(())
    }
    pub fn shrink_to(&mut self, m: usize) {
        self.0 = m
    }
}
pub enum Encoding {
    Identity,
    Gzip,
}
pub struct DecodeBounds {
    pub max_bytes: usize,
    pub max_ratio: usize,
}
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("unsupported")]
    Unsupported,
}
impl DecodeError {
    pub fn status(&self) -> u16 {
        415
    }
}
impl Encoding {
    pub fn of(h: Option<&[u8]>) -> Result<Self, DecodeError> {
        match h {
            None => Ok(Self::Identity),
            Some(_) => Err(DecodeError::Unsupported),
        }
    }
}
pub fn decode(_: Encoding, b: &[u8], _: DecodeBounds) -> Result<Bytes, DecodeError> {
    Ok(Bytes::copy_from_slice(b))
}
