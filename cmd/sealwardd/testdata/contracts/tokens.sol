// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";

// OpenZeppelin's tokens as they are, with something for an owner to begin with.

contract Coin is ERC20, ERC20Permit {
    constructor(address[] memory owners) ERC20("Coin", "COIN") ERC20Permit("Coin") {
        for (uint256 i = 0; i < owners.length; i++) _mint(owners[i], 1e24);
    }
}

contract Cards is ERC721 {
    constructor(address owner) ERC721("Cards", "CARD") {
        for (uint256 id = 1; id <= 3; id++) _mint(owner, id);
    }
}

contract Parts is ERC1155 {
    constructor(address owner) ERC1155("") {
        for (uint256 id = 1; id <= 3; id++) _mint(owner, id, 1000 * id, "");
    }
}

// What an account may be handed over to.
contract Delegate {
    receive() external payable {}
}

// Of these the node brings the code, and this is how they are called.

interface Multicall3 {
    struct Call3 { address target; bool allowFailure; bytes callData; }
    struct Call3Value { address target; bool allowFailure; uint256 value; bytes callData; }
    struct Result { bool success; bytes returnData; }
    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory);
    function aggregate3Value(Call3Value[] calldata calls) external payable returns (Result[] memory);
}

interface Permit2 {
    struct PermitDetails { address token; uint160 amount; uint48 expiration; uint48 nonce; }
    struct PermitSingle { PermitDetails details; address spender; uint256 sigDeadline; }
    struct TokenPermissions { address token; uint256 amount; }
    struct PermitTransferFrom { TokenPermissions permitted; uint256 nonce; uint256 deadline; }
    struct SignatureTransferDetails { address to; uint256 requestedAmount; }
    struct TokenSpenderPair { address token; address spender; }
    function allowance(address owner, address token, address spender) external view returns (uint160 amount, uint48 expiration, uint48 nonce);
    function approve(address token, address spender, uint160 amount, uint48 expiration) external;
    function permit(address owner, PermitSingle calldata permitSingle, bytes calldata signature) external;
    function transferFrom(address from, address to, uint160 amount, address token) external;
    function lockdown(TokenSpenderPair[] calldata approvals) external;
    function permitTransferFrom(PermitTransferFrom calldata permit, SignatureTransferDetails calldata transferDetails, address owner, bytes calldata signature) external;
}
