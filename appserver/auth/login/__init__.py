"""The login flows, and the one login that may be pending."""
