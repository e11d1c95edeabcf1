"""What all tests share; must not know any one of them."""

pytest_plugins = ["tests.kafka_fixtures"]
