"""AWS Organizations with members, over ministack's, where every account is alone in its organization."""
