"""fastlec."""
