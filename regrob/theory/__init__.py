"""The paper's quantities, each a function of the local Jacobian V, the logits z and the label y."""
