"""Conversations, their message trees and who may read or write them. Knows no model endpoint."""
