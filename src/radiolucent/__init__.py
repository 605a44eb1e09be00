"""radiolucent makes an X-ray classifier transparent."""
